"""Tally: how many contacts of each status an export holds, for a table and a progress bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from .._contact_row import ContactRow
from .._models import ContactPage
from ._spool import Spool


class Tally:
    """Count contacts by their status.

    Args:
        on_resume: called with the spool before the first request of a resumed export, and again,
            with the emptied spool, if the pull starts anew.

    Attributes:
        statuses: how many contacts have each status.
    """

    def __init__(self, on_resume: Callable[[Spool], object] = lambda _: None) -> None:
        self.statuses: Counter[str] = Counter()
        self._on_resume = on_resume

    def resume(self, spool: Spool) -> None:
        """Start from the contacts in *spool*."""
        self.statuses = spool.statuses.copy()
        self._on_resume(spool)

    def add(self, contacts: Iterable[ContactRow]) -> None:
        """Count *contacts*, such as those of a page."""
        self.statuses.update(contact.status for contact in contacts)

    async def counted(
        self, pages: AsyncGenerator[ContactPage, None]
    ) -> AsyncGenerator[ContactPage, None]:
        """Yield *pages* unchanged and count their contacts; *pages* is closed at the end."""
        async with aclosing(pages):
            async for page in pages:
                self.add(page)
                yield page
