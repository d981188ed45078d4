"""Contact list: the contacts of a whole pull, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._extras import require
from ._models import Contact
from ._report import PullReport
from ._validation import flag

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class ContactList(list[Contact]):
    """All contacts of a pull, in the server's order, with its `report`.

    A `list`; slices and copies are plain lists. Its `repr` shows no contacts.
    """

    def __init__(
        self, contacts: Iterable[Contact] = (), *, report: PullReport | None = None
    ) -> None:
        super().__init__(contacts)
        self.report = PullReport() if report is None else report

    def to_arrow(self, *, flatten: bool = False) -> pa.Table:
        """Return the contacts as an Arrow table, equal to that of `Contacts.to_arrow`.

        Takes about two seconds for a million contacts, in which the event loop does not run;
        ``await asyncio.to_thread(contacts.to_arrow)`` lets it run.

        Raises:
            ModuleNotFoundError: pyarrow is not installed (``pip install 'aioburki[arrow]'``).
            ResponseDecodeError: as of `Contacts.to_arrow`.
        """
        from ._tables import table_of  # noqa: PLC0415 - pyarrow is optional

        return table_of(self, flatten=flag("flatten", flatten))

    def to_pandas(self, *, flatten: bool = False) -> pd.DataFrame:
        """Return the contacts as a data frame, equal to that of `Contacts.to_pandas`."""
        require("pandas")
        from ._tables import pandas_frame  # noqa: PLC0415 - pyarrow is optional

        return pandas_frame(self.to_arrow(flatten=flatten))

    def to_polars(self, *, flatten: bool = False) -> pl.DataFrame:
        """Return the contacts as a data frame, equal to that of `Contacts.to_polars`."""
        require("polars")
        from ._tables import polars_frame  # noqa: PLC0415 - pyarrow is optional

        return polars_frame(self.to_arrow(flatten=flatten))

    def __repr__(self) -> str:
        moved = "" if self.report.consistent else ", moved while it was read: see .report.drift"
        return f"<ContactList: {len(self):,} contacts{moved}>"
