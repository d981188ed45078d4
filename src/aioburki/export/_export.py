"""Export: contacts, or pages of them, to a file of any format, also in several runs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from .._contacts import Contacts
from .._errors import ConfigurationError
from .._report import PullReport
from .._validation import flag
from ._atomic_file import checked_target, replacing
from ._format import Format
from ._resume import pull_into
from ._source import Pages, check_source, closing_source, pages_of
from ._spool import Spool
from ._tally import Tally


async def export(
    source: Contacts | Pages,
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
    check_source(source)
    tally = Tally() if tally is None else tally
    async with closing_source(source):
        await file_format.check_installed()
        is_resumable = flag("resume", resume)
        if is_resumable and not isinstance(source, Contacts):
            raise ConfigurationError("resume=True needs contacts, not pages of them")
        path = checked_target(target)
        if not isinstance(source, Contacts):
            with replacing(path, is_text=file_format.is_text) as file:
                await file_format.write_pages(pages_of(source), file, path, tally)
            return None
        if is_resumable:
            return await _export_resumably(source, path, file_format, tally)
        with replacing(path, is_text=file_format.is_text) as file:
            return await file_format.write_contacts(source, file, path, tally)


async def _export_resumably(
    contacts: Contacts, path: Path, file_format: Format, tally: Tally
) -> PullReport:
    if not contacts.is_complete:
        raise ConfigurationError("resume=True needs contacts that are pulled with complete=True")
    with closing(Spool(path, contacts.range, contacts.limit)) as spool:
        await spool.load()
        await pull_into(spool, contacts, tally)
        # A fixed name, so that the next process removes the temporary file of one that was killed.
        part = path.with_name(f".{path.name}.aioburki-part")
        with replacing(path, part, is_text=file_format.is_text) as file:
            await file_format.write_spool(spool, file, path)
        spool.remove()
        return spool.progress.report
