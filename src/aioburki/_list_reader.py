"""List reader: one list of the API, with what is needed to pull it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from ._boundaries import in_order, is_mostly_rising, offsets_of
from ._clock import check_asyncio
from ._endpoint import ListQuery
from ._errors import NotFoundError, ResponseDecodeError, UnorderedListError
from ._events import PullStarted
from ._page import Page, PageWindow
from ._paging import (
    Bounds,
    Key,
    Prefetch,
    Pull,
    PullOptions,
    SortOrder,
    UnreadFields,
    warn_of_unread,
    window_near,
)
from ._progress_bar import ProgressBar
from ._requests import Fetcher, RequestStats
from ._started_pull import PullEvents, StartedPull, new_pull_id

T = TypeVar("T")
Fetched = TypeVar("Fetched")

# Enough that one slow page does not leave the other slots without work before it is delivered.
PAGES_AHEAD_PER_SLOT = 4

# A complete pull fixes a window when its request starts, so that few may wait for a slot. In an
# outage each page has so many attempts; the trials of a minute are shared by four pages.
MIN_REQUESTED = 4


@attrs.frozen(eq=False, repr=False)
class ListReader(Generic[T]):
    """Read one list of the API, any number of times; generic over the endpoint's items.

    Attributes:
        query: the list to read.
        per_page: items in one request.
        limit: maximum number of items; None for all.
        is_complete: whether a pull reads until it is proved that nothing was missed.
        fetcher: sends the requests.
        running: the pulls of the client, so that it can end them.
        matches: returns whether an item passes the query's filter; None for no filter.
        bounds: the part of the list to read; None for all of it.
        order: the name of the order that *bounds* are in; empty for any order.
    """

    query: ListQuery[T]
    per_page: int
    limit: int | None
    is_complete: bool
    fetcher: Fetcher
    running: set[Prefetch[Any]]
    matches: Callable[[T], bool] | None = None
    bounds: Bounds | None = None
    order: str = ""

    @property
    def orders(self) -> Sequence[SortOrder[T]]:
        """The orders that the list may have; of a range, its own."""
        orders = self.query.endpoint.orders
        return [each for each in orders if not self.order or each.name == self.order]

    def start(self, *, progress: bool = False) -> StartedPull[T]:
        """Return a new pull; nothing is sent before `Pull.next_page` is called.

        Args:
            progress: whether to show a progress bar until the pull is closed.

        Raises:
            ModuleNotFoundError: a bar needs tqdm, which is not installed.
        """
        check_asyncio()
        name, endpoint = f"campaign {self.query.campaign_id}", self.query.endpoint
        stats = RequestStats(pull_id=new_pull_id())
        bar = self._bar(name) if progress else None
        events = PullEvents(self.fetcher.events, self._announcement(stats), stats, bar)
        slots, ahead = self.fetcher.concurrency, PAGES_AHEAD_PER_SLOT * self.fetcher.concurrency
        options = PullOptions(
            name=name,
            noun=endpoint.noun,
            key=endpoint.key,
            per_page=self.per_page,
            limit=self.limit,
            ahead=ahead,
            requested=max(slots, MIN_REQUESTED) if self.is_complete else ahead,
            waiting=lambda: stats.waiting,
            orders=self.orders if self.is_complete else (),
            bounds=self.bounds,
            matches=self.matches,
            log_fields={"pull_id": stats.pull_id, "campaign_id": self.query.campaign_id},
            observer=events,
        )
        # A page past the end of a list that shrinks may be 404, or the last page.
        fetch = partial(self._fetch_or_none if self.is_complete else self._fetch_or_empty, stats)
        pull = Pull(options, fetch, self.running)
        stats.on_wait = partial(_request_more, weakref.ref(pull))
        events.progress = pull.progress
        return StartedPull(pull, stats, self.is_complete)

    def _announcement(self, stats: RequestStats) -> PullStarted:
        return PullStarted(
            pull_id=stats.pull_id,
            campaign_id=self.query.campaign_id,
            status=dict(self.query.filters).get("status"),
            per_page=self.per_page,
            limit=self.limit,
            is_complete=self.is_complete,
            is_range=self.bounds is not None,
        )

    async def count(self) -> int:
        """Return how many items there are, at most `limit`; one request of one item."""
        page = await self._fetch_one(PageWindow(page=1, per_page=1))
        total = page.pagination.total_items
        return total if self.limit is None else min(total, self.limit)

    async def page(self, number: int) -> Page[T]:
        """Return page *number*, from 1, as the server has it now; one request."""
        page = await self._fetch_one(PageWindow(page=number, per_page=self.per_page))
        unread = UnreadFields(self.query.endpoint.noun, self.query.endpoint.key)
        unread.record(page)
        unread.deliver(page)
        campaign_id = self.query.campaign_id
        warn_of_unread(f"campaign {campaign_id}", unread, {"campaign_id": campaign_id})
        return page

    async def page_at(self, window: PageWindow, stats: RequestStats) -> Page[T] | None:
        """Return the page at *window*, or None if there is none; one request."""
        [page] = await self._fetch_all([window], partial(self._fetch_or_none, stats))
        return page

    async def boundaries(self, parts: int) -> tuple[str, list[tuple[Key, int]]]:
        """Return an order of the list, and keys that divide it into *parts* of about equal size.

        Sends *parts* requests: page 1, or the first page of a range, and one of one item for each
        boundary. Returns fewer keys, or none, for a list that is short or has moved. Any keys
        divide the list; their offsets only decide how large the parts are.

        Raises:
            UnorderedListError: the list has no usable order.
        """
        bounds = Bounds() if self.bounds is None else self.bounds
        window = window_near(bounds.offset, self.per_page, 1)
        first = await self.page_at(window, RequestStats())
        items = () if first is None else first.items
        if self.bounds is None and first is not None and first.pagination.total_items <= len(items):
            return "", []  # one page is complete in any order
        offsets: list[int] = []
        if first is not None:
            pagination = first.pagination
            # The server may allow only smaller pages.
            size = pagination.per_page if pagination.per_page < window.per_page else self.per_page
            offsets = offsets_of(bounds, pagination.total_items, size, parts)
        windows = [PageWindow(page=offset, per_page=1) for offset in offsets]
        pages = await self._fetch_all(windows, partial(self._fetch_or_none, RequestStats()))
        found = [
            (page.items[0], offset)
            for page, offset in zip(pages, offsets, strict=True)
            if page is not None and page.items
        ]
        for order in self.orders:
            keys = order.keys(items)
            places = order.keys([item for item, _ in found])
            if keys is None or places is None or not order.is_sorted(keys):
                continue
            # A range has its order already; it may be shorter than the list moves between reads.
            if self.bounds is not None or is_mostly_rising(order, [*keys[:1], *places]):
                places_at = [(key, at) for key, (_, at) in zip(places, found, strict=True)]
                return order.name, in_order(order, places_at, bounds)
        raise UnorderedListError(
            f"the list of campaign {self.query.campaign_id} is in no order that its "
            f"{self.query.endpoint.noun}s show",
            campaign_id=self.query.campaign_id,
        )

    def _bar(self, name: str) -> ProgressBar:
        return ProgressBar(name, self.limit, self.bounds, self.fetcher.wait_left)

    async def _fetch(self, stats: RequestStats, window: PageWindow) -> Page[T]:
        return await self.fetcher.fetch(self.query, window, stats=stats)

    async def _fetch_or_none(self, stats: RequestStats, window: PageWindow) -> Page[T] | None:
        """Return a page; None if it is 404 and not page 1, or if the last page came instead."""
        try:
            return await self._fetch(stats, window)
        except NotFoundError:
            if window.page == 1:
                raise
        except ResponseDecodeError as error:
            if error.last_page is None:
                raise
        return None

    async def _fetch_or_empty(self, stats: RequestStats, window: PageWindow) -> Page[T]:
        """Return a page; an empty one if there is none and page 1 shows that the list is shorter.

        Raises:
            NotFoundError: page 1 is 404, too, or the page is and should not be.
            ResponseDecodeError: the last page came instead, though page 1 announces more.
        """
        page = await self._fetch_or_none(stats, window)
        if page is not None:
            return page
        head = (await self._fetch(stats, PageWindow(1, window.per_page))).pagination
        if window.page <= head.total_pages:
            return await self._fetch(stats, window)
        return Page((), attrs.evolve(head, page=window.page, has_next=False, has_prev=True))

    async def _fetch_one(self, window: PageWindow) -> Page[T]:
        [page] = await self._fetch_all([window], partial(self._fetch, RequestStats()))
        return page

    async def _fetch_all(
        self,
        wanted: Sequence[PageWindow],
        fetch: Callable[[PageWindow], Coroutine[Any, Any, Fetched]],
    ) -> list[Fetched]:
        """Return the pages at these windows, in tasks, so that closing the client ends them."""

        async def fetch_in_tuple(window: PageWindow) -> tuple[Fetched]:
            return (await fetch(window),)

        windows = iter(wanted)
        prefetch = Prefetch(fetch_in_tuple, lambda: next(windows, None), max(1, len(wanted)))
        pages: list[Fetched] = []
        self.running.add(prefetch)
        try:
            async with aclosing(prefetch):
                prefetch.top_up()
                while (fetched := await prefetch.next()) is not None:
                    pages += fetched
        finally:
            self.running.discard(prefetch)
        return pages


def _request_more(pull: weakref.ref[Pull[Any]]) -> None:
    """Request further pages of *pull*, unless it is gone; the reference is weak against cycles."""
    if (alive := pull()) is not None:
        alive.request_more()
