"""Parquet: contacts as a typed table, with where they come from in the file's metadata."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, overload

import anyio.lowlevel
import attrs

from .._contact_row import ContactRow
from .._contacts import Contacts
from .._extras import require_in_thread
from .._models import Contact, ContactData, ContactStatus
from .._range import ContactRange
from .._report import PullReport
from .._validation import flag
from .._version import __version__
from ._export import export
from ._format import ROWS_PER_TURN, PageStream
from ._source import Pages
from ._spool import Spool
from ._tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

MakeBatch = Callable[[Sequence[ContactRow]], "pa.RecordBatch"]


@overload
async def export_parquet(
    source: Contacts, target: Path | str, *, flatten: bool = False, resume: bool = False
) -> PullReport: ...
@overload
async def export_parquet(
    source: Pages, target: Path | str, *, flatten: bool = False, resume: Literal[False] = False
) -> None: ...
async def export_parquet(
    source: Contacts | Pages,
    target: Path | str,
    *,
    flatten: bool = False,
    resume: bool = False,
) -> PullReport | None:
    """Write the contacts of *source* to *target* as Parquet, in the schema of `Contacts.to_arrow`.

    `Contacts` are written straight from the pages, without `Contact` objects, in bounded memory:
    some ten thousand rows at a time. Key/value metadata of the file says what is in it, as text:

    - ``aioburki.server``, ``aioburki.campaign_id``; ``aioburki.status``, ``aioburki.limit`` and
      ``aioburki.range`` where they were given. Of pages none of these is known.
    - ``aioburki.begun`` and ``aioburki.written``: when the pull began, and when the file was
      written, in UTC.
    - ``aioburki.complete``: ``true`` if it is proved that no contact is missing, else ``false``;
      ``aioburki.proof`` as in `PullReport`; ``aioburki.contacts``: how many there are.
    - ``aioburki.version``: of this package.

    *target* is replaced when the file is complete, and has mode 0600. After an error or a
    cancellation the old file is unchanged, or there is none as before.

    Args:
        source: the contacts to pull, or an iterator of pages, such as `Contacts.pages` returns. A
            generator is closed at the end, also after an error.
        target: path of the file; of a symbolic link the file it points to is replaced.
        flatten: whether each key of the free-form fields gets a column, as in `Contacts.to_arrow`.
            Until the last key is known, the rows are kept in a file beside the target.
        resume: whether to keep the contacts pulled so far if the export ends early, and to continue
            from an earlier call for the same contacts; see `aioburki.export`. Needs contacts
            that are pulled with ``complete=True``.

    Returns:
        The report of the pull, over all calls if it was resumed; None for pages.

    Raises:
        ModuleNotFoundError: pyarrow is not installed (``pip install 'aioburki[arrow]'``).
        OSError: a file cannot be written.
        ConfigurationError: *source* is something else, or cannot be resumed; or *target* is not a
            regular file, or its folder does not exist; or the spool is of other contacts or used by
            another process. Raised before a page is requested.
        ResponseDecodeError: an id does not fit in 64 bits, or *flatten* makes too many columns.
        BurkiError: the pull has failed.
    """
    parquet = ParquetFormat(flatten=flag("flatten", flatten))
    return await export(source, target, parquet, resume=resume)


@attrs.frozen(kw_only=True)
class ParquetFormat:
    """Parquet.

    Attributes:
        flatten: whether each key of the free-form fields gets a column.
    """

    flatten: bool = False
    is_text = False

    async def check_installed(self) -> None:
        """Import pyarrow, in a thread."""
        await require_in_thread("pyarrow", "pyarrow.parquet", "aioburki._tables")

    async def write_contacts(
        self, contacts: Contacts, file: IO[Any], target: Path, tally: Tally
    ) -> PullReport:
        """Pull *contacts* and write them; return the report."""
        from .._tables import pulled_batches  # noqa: PLC0415 - pyarrow is optional

        started, begun = contacts.rows.start(), datetime.now(UTC)

        def metadata() -> dict[str, str]:
            return _origin(contacts.range, contacts.limit) | _result(begun, started.report())

        batches = pulled_batches(started, self._make(tally))
        await self._write(batches, file, target, metadata)
        return started.report()

    async def write_pages(
        self, pages: PageStream, file: IO[Any], target: Path, tally: Tally
    ) -> None:
        """Write the contacts of *pages*."""
        begun = datetime.now(UTC)

        def metadata() -> dict[str, str]:
            return _result(begun, PullReport(contacts=tally.statuses.total()))

        await self._write(_batches_of_pages(pages, self._make(tally)), file, target, metadata)

    async def write_spool(self, spool: Spool, file: IO[Any], target: Path) -> None:
        """Write the contacts in *spool*."""
        metadata = _origin(spool.whole, spool.limit) | _result(spool.begun, spool.progress.report)
        batches = _batches_of_rows(map(_contact, spool.rows()), self._make(Tally()))
        await self._write(batches, file, target, lambda: metadata)

    def _make(self, tally: Tally) -> MakeBatch:
        """Return a function that makes a batch of rows, and counts them in *tally*."""
        from .._tables import contact_batch, flat_batch  # noqa: PLC0415 - pyarrow is optional

        make_batch = flat_batch if self.flatten else contact_batch

        def make(rows: Sequence[ContactRow]) -> pa.RecordBatch:
            tally.add(rows)
            return make_batch(rows)

        return make

    async def _write(
        self,
        batches: AsyncGenerator[pa.RecordBatch, None],
        file: IO[Any],
        target: Path,
        metadata: Callable[[], dict[str, str]],
    ) -> None:
        from .._tables import write_flat_parquet, write_parquet  # noqa: PLC0415 - as above

        if self.flatten:
            await write_flat_parquet(batches, file, metadata, target.parent)
        else:
            await write_parquet(batches, file, metadata)


async def _batches_of_pages(
    pages: PageStream, make: MakeBatch
) -> AsyncGenerator[pa.RecordBatch, None]:
    async with aclosing(pages):
        async for page in pages:
            for start in range(0, len(page), ROWS_PER_TURN):
                yield make(page.contacts[start : start + ROWS_PER_TURN])
                await anyio.lowlevel.checkpoint()


async def _batches_of_rows(
    rows: Iterator[ContactRow], make: MakeBatch
) -> AsyncGenerator[pa.RecordBatch, None]:
    while some := tuple(islice(rows, ROWS_PER_TURN)):
        yield make(some)
        await anyio.lowlevel.checkpoint()


def _contact(row: dict[str, Any]) -> Contact:
    """Return the contact of which `to_dict` has made *row*."""
    created, tried = row["created_at"], row["last_attempt_at"]
    return Contact(
        id=row["id"],
        phone_number=row["phone_number"],
        contact_data=ContactData(**row["contact_data"]),
        status=ContactStatus(row["status"]),
        attempts=row["attempts"],
        created_at=None if created is None else datetime.fromisoformat(created),
        last_attempt_at=None if tried is None else datetime.fromisoformat(tried),
    )


def _origin(whole: ContactRange, limit: int | None) -> dict[str, str]:
    """Return the metadata that say which contacts were asked for."""
    origin: dict[str, object] = {
        "server": whole.server,
        "campaign_id": whole.campaign_id,
        "status": whole.status,
        "limit": limit,
        "range": None if whole.after is None and whole.until is None else whole,
    }
    return {f"aioburki.{name}": str(value) for name, value in origin.items() if value is not None}


def _result(begun: datetime, report: PullReport) -> dict[str, str]:
    """Return the metadata that say what was pulled, and when."""
    return {
        "aioburki.begun": begun.isoformat(timespec="seconds"),
        "aioburki.written": datetime.now(UTC).isoformat(timespec="seconds"),
        "aioburki.complete": "true" if report.complete else "false",
        "aioburki.proof": report.proof,
        "aioburki.contacts": str(report.contacts),
        "aioburki.version": __version__,
    }
