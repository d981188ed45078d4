"""Export: contacts, or pages of them, to a file of any format, also in several runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import IO, Any

import attrs

from .._contacts import Contacts
from .._errors import ConfigurationError
from .._models import ContactPage
from .._report import PullReport
from .._validation import flag
from ._atomic_file import checked_target, replacing
from ._resume import pull_into
from ._spool import Spool
from ._tally import Tally

# After this many rows other tasks on the event loop run.
ROWS_PER_TURN = 500

Rows = Callable[[], Iterator[dict[str, Any]]]
"""Returns an iterator over the contacts, as `to_dict` returns them; may be called again."""


@attrs.frozen
class Format:
    """A file format.

    Attributes:
        write_pages: writes pages to an open file as they are pulled; the last argument is its
            target.
        write_rows: writes rows to an open file; the last argument is their number.
    """

    write_pages: Callable[[AsyncGenerator[ContactPage, None], IO[str], Path | str], Awaitable[None]]
    write_rows: Callable[[Rows, IO[str], int], Awaitable[None]]


async def export(
    source: Contacts | AsyncGenerator[ContactPage, None],
    target: Path | str,
    file_format: Format,
    *,
    resume: bool = False,
    tally: Tally | None = None,
) -> PullReport | None:
    """Write the contacts of *source* to *target*; see `export_csv`.

    Args:
        source: the contacts to pull, or pages of them.
        target: path of the file.
        file_format: its format.
        resume: whether to keep contacts in a spool, and to continue from that of an earlier call.
        tally: counts the contacts as they are pulled.

    Returns:
        The report of the pull; None for pages.
    """
    tally = Tally() if tally is None else tally
    if isinstance(source, Contacts):
        if flag("resume", resume):
            return await _export_resumably(source, target, file_format, tally)
        async with source.stream() as stream:
            await _export_pages(stream.pages(), target, file_format, tally)
        return stream.report
    if not isinstance(source, AsyncGenerator):
        raise ConfigurationError(
            "an export takes contacts, such as burki.contacts(42), or their pages(), not "
            f"{type(source).__name__}"
        )
    async with aclosing(source):
        if flag("resume", resume):
            raise ConfigurationError("resume=True needs contacts, not pages of them")
        await _export_pages(source, target, file_format, tally)
    return None


async def _export_pages(
    pages: AsyncGenerator[ContactPage, None],
    target: Path | str,
    file_format: Format,
    tally: Tally,
) -> None:
    async with aclosing(tally.counted(pages)) as counted:
        with replacing(target) as file:
            await file_format.write_pages(counted, file, target)


async def _export_resumably(
    contacts: Contacts, target: Path | str, file_format: Format, tally: Tally
) -> PullReport:
    if not contacts.is_complete:
        raise ConfigurationError("resume=True needs contacts that are pulled with complete=True")
    path = checked_target(target)
    with closing(Spool(path, contacts.range, contacts.limit)) as spool:
        await spool.load()
        await pull_into(spool, contacts, tally)
        # A fixed name, so that the next process removes the temporary file of one that was killed.
        with replacing(path, path.with_name(f".{path.name}.aioburki-part")) as file:
            await file_format.write_rows(spool.rows, file, spool.contacts)
        spool.remove()
        return spool.progress.report
