"""Contact list: the contacts of a whole pull, and tables of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._extras import require
from ._html import html_lines, html_table
from ._models import Contact
from ._pydantic import list_schema
from ._report import PullReport, report_summary
from ._validation import flag

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

# Contacts at the start and at the end of a list that a notebook shows.
SHOWN = 5

# Statuses whose contacts it counts; the API documents eight.
MAX_STATUSES = 12

_SHOWN_FIELDS = ("id", "phone_number", "status", "attempts", "created_at", "last_attempt_at")


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

    def _repr_html_(self) -> str:
        """Return what a notebook shows: statuses, the first and the last contacts, and the report.

        Phone numbers are masked, as in `repr`, and contact data is left out.
        """
        statuses = Counter(contact.status.value for contact in self)
        counts = [f"{name} {number:,}" for name, number in statuses.most_common(MAX_STATUSES)]
        if len(statuses) > MAX_STATUSES:
            counts.append(f"and {len(statuses) - MAX_STATUSES:,} other statuses")
        skipped = len(self) - 2 * SHOWN
        head, tail = (self[:SHOWN], self[-SHOWN:]) if skipped > 0 else (self, [])
        rows: list[tuple[object, ...]] = [_html_row(contact) for contact in head]
        if skipped > 0:
            rows += [(f"… {skipped:,} more …",), *map(_html_row, tail)]
        total = ": ".join([f"{len(self):,} contacts", *([", ".join(counts)] if counts else [])])
        lines = (total, *report_summary(self.report))
        return html_table(_SHOWN_FIELDS, rows) + html_lines(lines)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        return list_schema(cls, Contact, handler)

    def __repr__(self) -> str:
        moved = "" if self.report.consistent else ", moved while it was read: see .report.drift"
        return f"<ContactList: {len(self):,} contacts{moved}>"


def _html_row(contact: Contact) -> tuple[object, ...]:
    moments = (contact.created_at, contact.last_attempt_at)
    shown = [None if each is None else each.isoformat(" ", "seconds") for each in moments]
    return (*(value for _, value in contact.__rich_repr__()), *shown)
