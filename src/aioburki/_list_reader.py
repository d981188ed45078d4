"""List reader: one list of the API, with what is needed to pull it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from ._page import Page, PageWindow
from ._paging import Prefetch, Pull, PullOptions
from ._report import PullReport
from ._requests import Fetcher, ListQuery, RequestStats

T = TypeVar("T")

# Enough that one slow page does not leave the other slots without work before it is delivered.
PAGES_AHEAD_PER_SLOT = 4


@attrs.frozen
class StartedPull(Generic[T]):
    """A pull together with what its requests took."""

    pull: Pull[T]
    stats: RequestStats

    def report(self) -> PullReport:
        """Return what the pull has done so far."""
        progress, stats = self.pull.progress, self.stats
        return PullReport(
            contacts=progress.items,
            pages=progress.pages,
            requests=stats.requests,
            retries=stats.retries,
            rate_limited=stats.rate_limited,
            duplicates=progress.duplicates,
            elapsed=progress.elapsed,
            waited=stats.waited,
            drift=progress.changes(),
        )


@attrs.frozen(eq=False, repr=False)
class ListReader(Generic[T]):
    """Read one list of the API, as often as asked; generic over the endpoint's items.

    Attributes:
        query: the list to read.
        per_page: items in one request.
        limit: maximum number of items; None for all.
        fetcher: sends the requests.
        running: the pulls of the client, so that it can end them.
        matches: returns whether an item passes the query's filter; None for no filter.
    """

    query: ListQuery[T]
    per_page: int
    limit: int | None
    fetcher: Fetcher
    running: set[Prefetch[Any]]
    matches: Callable[[T], bool] | None = None

    def start(self) -> StartedPull[T]:
        """Return a new pull; nothing is sent before its first page is asked for."""
        endpoint, stats = self.query.endpoint, RequestStats()
        options = PullOptions(
            name=f"campaign {self.query.campaign_id}",
            noun=endpoint.noun,
            key=endpoint.key,
            per_page=self.per_page,
            limit=self.limit,
            ahead=PAGES_AHEAD_PER_SLOT * self.fetcher.concurrency,
            matches=self.matches,
        )
        fetch = partial(self.fetcher.fetch, self.query, stats=stats)
        return StartedPull(Pull(options, fetch, self.running), stats)

    async def count(self) -> int:
        """Return how many items there are, at most `limit`; one request of one item."""
        page = await self._fetch_one(PageWindow(page=1, per_page=1))
        total = page.pagination.total_items
        return total if self.limit is None else min(total, self.limit)

    async def page(self, number: int) -> Page[T]:
        """Return page *number*, from 1, as the server has it now; one request."""
        return await self._fetch_one(PageWindow(page=number, per_page=self.per_page))

    async def _fetch_one(self, window: PageWindow) -> Page[T]:
        # In a task of its own, so that closing the client ends it like any pull.
        windows = iter((window,))
        fetch = partial(self.fetcher.fetch, self.query, stats=RequestStats())
        prefetch = Prefetch(fetch, lambda: next(windows, None), 1)
        self.running.add(prefetch)
        try:
            async with aclosing(prefetch):
                prefetch.top_up()
                page = await prefetch.next()
        finally:
            self.running.discard(prefetch)
        assert page is not None
        return page
