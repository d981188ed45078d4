"""Contacts: what `BurkiClient.contacts` returns. Page 1 → total_pages → the rest, in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Self, SupportsIndex

import attrs

from ._arguments import whole_number
from ._fetch import Fetcher
from ._lookahead import LookAhead
from ._models import Contact, ContactPage
from ._plan import Plan
from ._query import ContactQuery, Window
from ._report import PullReport, Tally
from ._seen import SeenIds

logger = logging.getLogger("aioburki")

# Enough that one slow page does not starve the other slots before its turn.
AHEAD_PER_SLOT = 4

Pulls = set[LookAhead[ContactPage]]


class ContactList(list[Contact]):
    """Hold all contacts of a pull, in the server's order, with its `report`.

    A list in every way; slices and copies are plain lists. Its `repr` shows no contacts.
    """

    def __init__(
        self, contacts: Iterable[Contact] = (), *, report: PullReport | None = None
    ) -> None:
        super().__init__(contacts)
        self.report = PullReport() if report is None else report

    def __repr__(self) -> str:
        moved = "" if self.report.consistent else ", moved while it was read: see .report.drift"
        return f"<ContactList: {len(self):,} contacts{moved}>"


@attrs.frozen(eq=False, repr=False)
class Contacts:
    """Stand for the contacts of a campaign; nothing is sent until they are asked for.

    Immutable and re-iterable: every `await`, ``async for``, `pages` and `stream` is a pull of
    its own. All of them deliver in the server's order, each contact id once, follow the list
    if it grows, and raise the errors of this package, plain and in their place.

    While a pull runs, at most four pages per slot of ``concurrency`` are fetched ahead of
    what was taken, and nothing further as long as nothing is taken. A pull that ends early
    (``break``, an exception, a cancellation, a deadline round it) stops its requests; after
    ``break`` that takes a few turns of the event loop, unless `stream` is used.
    """

    _query: ContactQuery
    _fetcher: Fetcher
    _concurrency: int
    _pulls: Pulls

    def __await__(self) -> Generator[object, None, ContactList]:
        return self._collect().__await__()

    def __aiter__(self) -> AsyncIterator[Contact]:
        return self._contacts(Tally())

    def pages(self) -> AsyncGenerator[ContactPage, None]:
        """Return an iterator of the pages, in order, as `ContactPage`.

        A page comes without contacts that an earlier one had, and the last one is cut where
        ``limit`` is reached.
        """
        return self._pages(Tally())

    def stream(self) -> ContactStream:
        """Return an ``async with`` block to iterate in; when it is left, nothing is left alive."""
        tally = Tally()
        return ContactStream(self._contacts(tally), tally)

    async def count(self) -> int:
        """Return how many contacts there are, at most ``limit``; one request of one contact."""
        page = await self._fetch_one(Window(page=1, per_page=1))
        total = page.pagination.total_items
        return total if self._query.limit is None else min(total, self._query.limit)

    async def page(self, number: SupportsIndex) -> ContactPage:
        """Return page *number*, from 1, as the server has it now; one request.

        ``limit`` has no bearing on it. What a page past the end returns is up to the server;
        an empty page is assumed.

        Raises:
            ConfigurationError: *number* is no whole number of at least 1.
        """
        page = whole_number("page", number, low=1)
        return await self._fetch_one(Window(page=page, per_page=self._query.per_page))

    def __repr__(self) -> str:
        query = self._query
        status = "" if query.status is None else f", status={query.status.value!r}"
        limit = "" if query.limit is None else f", limit={query.limit}"
        return f"<Contacts of campaign {query.campaign_id}{status}{limit}: await or async for>"

    async def _collect(self) -> ContactList:
        tally = Tally()
        contacts = ContactList()
        async with aclosing(self._pages(tally)) as pages:
            async for page in pages:
                contacts.extend(page.contacts)
        contacts.report = tally.report()
        return contacts

    async def _contacts(self, tally: Tally) -> AsyncGenerator[Contact, None]:
        async with aclosing(self._pages(tally)) as pages:
            async for page in pages:
                for contact in page.contacts:
                    yield contact

    async def _pages(self, tally: Tally) -> AsyncGenerator[ContactPage, None]:
        self._fetcher.check_open()
        plan = Plan(self._query)
        seen = SeenIds()
        look_ahead = self._look_ahead(plan, tally)
        tally.start()
        try:
            look_ahead.top_up()
            while (page := await look_ahead.next()) is not None:
                new = self._take(page, seen, plan, tally)
                look_ahead.top_up()
                yield new
            if plan.reached_end:
                tally.drift.complete()
        finally:
            tally.end()
            self._pulls.discard(look_ahead)
            self._warn_of_drift(tally)
            await look_ahead.aclose()

    def _look_ahead(self, plan: Plan, tally: Tally) -> LookAhead[ContactPage]:
        look_ahead = LookAhead(
            lambda window: self._fetcher.fetch(self._query, window, tally),
            plan.next_window,
            AHEAD_PER_SLOT * self._concurrency,
        )
        self._pulls.add(look_ahead)
        return look_ahead

    def _take(self, page: ContactPage, seen: SeenIds, plan: Plan, tally: Tally) -> ContactPage:
        """Take in the next page in order; return it without repeats and cut to the limit."""
        flags = seen.add([contact.id for contact in page.contacts])
        repeats = flags.count(False)
        contacts = page.contacts
        if repeats:
            contacts = tuple(c for c, new in zip(contacts, flags, strict=True) if new)
        new = len(contacts)
        if self._query.limit is not None:
            contacts = contacts[: self._query.limit - tally.contacts]
        tally.pages += 1
        tally.contacts += len(contacts)
        tally.duplicates += repeats
        tally.drift.learn(page)
        plan.learn(page.pagination, new=new, delivered=tally.contacts)
        return page if contacts is page.contacts else attrs.evolve(page, contacts=contacts)

    def _warn_of_drift(self, tally: Tally) -> None:
        drift = tally.report().drift
        if drift:
            logger.warning(
                "campaign %d moved while it was read: %s", self._query.campaign_id, "; ".join(drift)
            )

    async def _fetch_one(self, window: Window) -> ContactPage:
        self._fetcher.check_open()
        windows = iter((window,))
        tally = Tally()
        look_ahead = LookAhead(
            lambda wanted: self._fetcher.fetch(self._query, wanted, tally),
            lambda: next(windows, None),
            1,
        )
        self._pulls.add(look_ahead)
        try:
            look_ahead.top_up()
            page = await look_ahead.next()
        finally:
            self._pulls.discard(look_ahead)
            await look_ahead.aclose()
        assert page is not None
        return page


class ContactStream:
    """Iterate over a pull inside ``async with``; when the block is left, nothing is left alive.

    `report` tells how far the pull is, at any time and afterwards. Iterating outside the
    block is a RuntimeError, so that it cannot be taken for an empty campaign.
    """

    def __init__(self, contacts: AsyncGenerator[Contact, None], tally: Tally) -> None:
        self._contacts = contacts
        self._tally = tally
        self._is_open = False

    @property
    def report(self) -> PullReport:
        """Return what the pull has done so far."""
        return self._tally.report()

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        await self._contacts.aclose()

    def __aiter__(self) -> AsyncGenerator[Contact, None]:
        if not self._is_open:
            raise RuntimeError("iterate over a stream inside its `async with` block")
        return self._contacts

    def __repr__(self) -> str:
        return f"<ContactStream: {self._tally.contacts:,} contacts so far>"
