"""Format: how contacts are written to a file, from a pull, from pages, or from a spool."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any, Protocol

import attrs

from .._contacts import Contacts
from .._models import ContactPage
from .._report import PullReport
from ._spool import Spool
from ._tally import Tally

# After this many rows other tasks on the event loop run.
ROWS_PER_TURN = 500

PageStream = AsyncGenerator[ContactPage, None]

Rows = Callable[[], Iterator[dict[str, Any]]]
"""Returns an iterator over the contacts, as `to_dict` returns them; may be called again."""


class Format(Protocol):
    """A file format. The methods write to an open file, which they do not close."""

    @property
    def is_text(self) -> bool:
        """Whether the file takes text, not bytes."""
        ...

    async def check_installed(self) -> None:
        """Return if the packages that the format needs can be imported, and import them.

        Raises:
            ModuleNotFoundError: they are not installed; the message says how to install them.
        """
        ...

    async def write_contacts(
        self, contacts: Contacts, file: IO[Any], target: Path, tally: Tally
    ) -> PullReport:
        """Pull *contacts* and write them; return the report. Files may be kept beside *target*."""
        ...

    async def write_pages(
        self, pages: PageStream, file: IO[Any], target: Path, tally: Tally
    ) -> None:
        """Write the contacts of *pages*. Files may be kept beside *target*."""
        ...

    async def write_spool(self, spool: Spool, file: IO[Any], target: Path) -> None:
        """Write the contacts in *spool*. Files may be kept beside *target*."""
        ...


@attrs.frozen
class TextFormat:
    """A text format, whose rows are those of `to_dict`.

    Attributes:
        write: writes pages to an open file as they are pulled; the last argument is its target.
        write_rows: writes rows to an open file; the last argument is their number.
    """

    write: Callable[[PageStream, IO[str], Path], Awaitable[None]]
    write_rows: Callable[[Rows, IO[str], int], Awaitable[None]]
    is_text = True

    async def check_installed(self) -> None:
        """Return; nothing is needed."""

    async def write_contacts(
        self, contacts: Contacts, file: IO[Any], target: Path, tally: Tally
    ) -> PullReport:
        """Pull *contacts* and write them; return the report."""
        async with contacts.stream() as stream:
            await self.write_pages(stream.pages(), file, target, tally)
        return stream.report

    async def write_pages(
        self, pages: PageStream, file: IO[Any], target: Path, tally: Tally
    ) -> None:
        """Write the contacts of *pages*."""
        async with aclosing(tally.counted(pages)) as counted:
            await self.write(counted, file, target)

    async def write_spool(
        self,
        spool: Spool,
        file: IO[Any],
        target: Path,  # noqa: ARG002 - text needs no files beside it
    ) -> None:
        """Write the contacts in *spool*."""
        await self.write_rows(spool.rows, file, spool.contacts)
