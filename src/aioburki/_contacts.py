"""Contacts: what `BurkiClient.contacts` returns, and the ways to read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Self, SupportsIndex

import attrs

from ._models import Contact, ContactPage
from ._paging import Prefetch, Pull, Running
from ._query import ContactQuery, PageWindow
from ._report import PullReport, Tally
from ._requests import Fetcher
from ._validation import whole_number

# Contacts that are handed out before all others in the event loop get their turn: with what a loop
# body does with them, a small part of the time that decoding their page takes.
MAX_PER_TURN = 100


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
    _fetcher: Fetcher = attrs.field(repr=False)
    _running: Running = attrs.field(repr=False)

    def __await__(self) -> Generator[object, None, ContactList]:
        return self._collect().__await__()

    async def __aiter__(self) -> AsyncGenerator[Contact, None]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for start in range(0, len(page), MAX_PER_TURN):
                    if start > 0:
                        await asyncio.sleep(0)
                    for contact in page.contacts[start : start + MAX_PER_TURN]:
                        yield contact

    async def pages(self) -> AsyncGenerator[ContactPage, None]:
        """Return an iterator of the pages, in order, as `ContactPage`.

        A page comes without contacts that an earlier one had, and the last one is cut where
        ``limit`` is reached. The page that was the list's end may come a second time with
        the contacts that filled it up meanwhile.
        """
        async with aclosing(self._pull()) as pull:
            while (page := await pull.next_page()) is not None:
                yield page

    def stream(self) -> ContactStream:
        """Return an ``async with`` block to iterate in; when it is left, nothing is left alive."""
        return ContactStream(self._pull())

    async def count(self) -> int:
        """Return how many contacts there are, at most ``limit``; one request of one contact."""
        page = await self._fetch_one(PageWindow(page=1, per_page=1))
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
        return await self._fetch_one(PageWindow(page=page, per_page=self._query.per_page))

    def __repr__(self) -> str:
        query = self._query
        status = "" if query.status is None else f", status={query.status.value!r}"
        limit = "" if query.limit is None else f", limit={query.limit}"
        return f"<Contacts of campaign {query.campaign_id}{status}{limit}: await or async for>"

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        yield "campaign_id", self._query.campaign_id, None
        yield "status", self._query.status and self._query.status.value, None
        yield "limit", self._query.limit, None

    def _pull(self) -> Pull:
        return Pull(self._query, self._fetcher, self._running)

    async def _collect(self) -> ContactList:
        contacts = ContactList()
        async with aclosing(self._pull()) as pull:
            while (page := await pull.next_page()) is not None:
                contacts.extend(page.contacts)
        contacts.report = pull.tally.report()
        return contacts

    async def _fetch_one(self, window: PageWindow) -> ContactPage:
        self._fetcher.check_open()
        windows = iter((window,))
        tally = Tally()
        prefetch = Prefetch(
            lambda wanted: self._fetcher.fetch(self._query, wanted, tally),
            lambda: next(windows, None),
            1,
        )
        self._running.add(prefetch)
        try:
            async with aclosing(prefetch):
                prefetch.top_up()
                page = await prefetch.next()
        finally:
            self._running.discard(prefetch)
        assert page is not None
        return page


class ContactStream:
    """Iterate over a pull inside ``async with``; when the block is left, nothing is left alive.

    One pull: a second loop goes on where the first was left, several tasks that iterate share
    the contacts among them, a failure is raised again, and a deadline round a single `anext`
    loses nothing. `report` tells how far the pull is, at any time and afterwards. Outside its
    block a stream is a RuntimeError, so that it cannot be taken for an empty campaign.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._rest: Iterator[Contact] = iter(())
        self._asked_for = 0
        self._refilling = asyncio.Lock()
        self._is_open = False
        self._was_open = False

    @property
    def report(self) -> PullReport:
        """Return what the pull has done so far."""
        return self._pull.tally.report()

    async def __aenter__(self) -> Self:
        if self._was_open:
            raise RuntimeError("this stream is over: ask the contacts for another one")
        self._is_open = self._was_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._pull.fail(RuntimeError("the `async with` block of this stream was left"))
        await self._pull.aclose()

    def __aiter__(self) -> Self:
        self._check_open()
        return self

    async def __anext__(self) -> Contact:
        self._asked_for += 1
        if self._asked_for % MAX_PER_TURN == 0:
            await asyncio.sleep(0)  # while nothing is taken that a cancellation could lose
        while True:
            self._check_open()
            for contact in self._rest:
                return contact
            async with self._refilling:  # several tasks may share a stream
                for contact in self._rest:
                    return contact
                page = await self._pull.next_page()
                if page is None:
                    raise StopAsyncIteration
                self._rest = iter(page.contacts)

    def _check_open(self) -> None:
        if not self._is_open:
            raise RuntimeError("iterate over a stream inside its `async with` block")

    def __repr__(self) -> str:
        return f"<ContactStream: {self.report.contacts:,} contacts so far>"
