"""Pull: one reading of a campaign. Page 1 → total_pages → the rest, in order, each id once."""

from __future__ import annotations

import logging

import attrs

from .._models import ContactPage
from .._query import ContactQuery, PageWindow
from .._report import Tally
from .._requests import Fetcher
from .planner import Planner
from .prefetch import Prefetch
from .seen_ids import SeenIds

logger = logging.getLogger("aioburki")

# Enough that one slow page does not starve the other slots before its turn.
AHEAD_PER_SLOT = 4

Running = set[Prefetch[ContactPage]]


class Pull:
    """Hand out the pages of a query, as they are to be delivered."""

    def __init__(self, query: ContactQuery, fetcher: Fetcher, running: Running) -> None:
        self.tally = Tally()
        self._query = query
        self._fetcher = fetcher
        self._running = running
        self._plan = Planner(query)
        self._seen = SeenIds()
        self._prefetch = Prefetch(
            self._fetch, self._plan.next_window, AHEAD_PER_SLOT * fetcher.concurrency
        )

    async def next_page(self) -> ContactPage | None:
        """Return the next page, or None after the last; may be cancelled and called again.

        Raises:
            BurkiError: the pull has failed; every further call says so again.
        """
        if not self.tally.has_started:
            self._fetcher.check_open()
            self.tally.start()
            self._running.add(self._prefetch)
            self._prefetch.top_up()
        page = await self._prefetch.next()
        if page is None:
            if self._plan.reached_end:
                self.tally.drift.complete()
            return None
        page = self._take(page)
        self._prefetch.top_up()
        return page

    def fail(self, failure: Exception) -> None:
        """Stop; `next_page` raises *failure* once it has handed out what had come."""
        self._prefetch.fail(failure)

    async def aclose(self) -> None:
        """End the pull: tell once what moved, and return when nothing of it is alive."""
        self.tally.end()
        self._warn_of_drift()
        try:
            await self._prefetch.aclose()
        finally:  # all has ended, even if we were cancelled meanwhile
            self._running.discard(self._prefetch)

    async def _fetch(self, window: PageWindow) -> ContactPage:
        return await self._fetcher.fetch(self._query, window, self.tally)

    def _take(self, page: ContactPage) -> ContactPage:
        """Take in the next page in order; return it without repeats and cut to the limit."""
        tally, limit = self.tally, self._query.limit
        is_second_reading = self._plan.is_second_reading(page.pagination.page)
        flags = self._seen.add([contact.id for contact in page.contacts])
        contacts = page.contacts
        if repeats := flags.count(False):
            contacts = tuple(c for c, is_new in zip(contacts, flags, strict=True) if is_new)
        new = len(contacts)
        if limit is not None:
            contacts = contacts[: limit - tally.contacts]
        tally.pages += 1
        tally.contacts += len(contacts)
        # What a second reading repeats is our doing, and no movement of the list.
        tally.duplicates += 0 if is_second_reading else repeats
        tally.drift.learn(page, rows=new if is_second_reading else len(page))
        if (wanted := self._query.status) is not None:
            tally.drift.status_mismatches += sum(contact.status != wanted for contact in contacts)
        again = self._plan.learn(page, new=new, delivered=tally.contacts)
        if again is not None:
            self._prefetch.fetch_next(again)
        return page if contacts is page.contacts else attrs.evolve(page, contacts=contacts)

    def _warn_of_drift(self) -> None:
        if drift := self.tally.report().drift:
            logger.warning(
                "campaign %d moved while it was read: %s", self._query.campaign_id, "; ".join(drift)
            )
