"""Pull: one reading of a list. Page 1 → total_pages → the rest, in order, each item once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import attrs

from .._page import Page, PageWindow
from .drift import DriftDetector
from .planner import Planner
from .prefetch import Prefetch
from .seen_ids import SeenIds

logger = logging.getLogger("aioburki")

T = TypeVar("T")


@attrs.frozen
class PullOptions(Generic[T]):
    """What a pull reads, and how.

    Attributes:
        name: the list in log lines, such as ``"campaign 42"``.
        noun: what an item is called in messages; the plural adds an s.
        key: returns the id of an item.
        per_page: items in one request.
        limit: maximum number of items to deliver; None for all.
        ahead: maximum number of pages that are requested or waiting to be delivered.
        matches: returns whether an item passes the filter that was asked for; None for no filter.
    """

    name: str
    noun: str
    key: Callable[[T], int]
    per_page: int
    limit: int | None
    ahead: int
    matches: Callable[[T], bool] | None = None


class PullProgress:
    """What a pull has delivered so far, and what changed in the list meanwhile."""

    def __init__(self, noun: str) -> None:
        self.items = 0
        self.duplicates = 0
        self.pages = 0
        self.drift = DriftDetector(noun)
        self._clock: Callable[[], float] | None = None
        self._started = 0.0
        self._ended: float | None = None

    @property
    def has_started(self) -> bool:
        """Whether the clock has been started."""
        return self._clock is not None

    def start(self) -> None:
        """Start the clock, which is the event loop's and can be read from any thread."""
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()

    def end(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._ended = self._clock()

    @property
    def elapsed(self) -> float:
        """Seconds from the start until now, or until the end."""
        if self._clock is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._started

    def changes(self) -> tuple[str, ...]:
        """Return the changes of the list that were seen, one sentence each."""
        return self.drift.sentences(self.duplicates)


class Pull(Generic[T]):
    """Deliver the pages of a list in order, without repeats, up to the limit.

    Args:
        options: what to read, and how.
        fetch: returns the page at a window, or raises; called concurrently.
        running: the pulls of one client, to which this one belongs from its first page until it
            is closed.
    """

    def __init__(
        self,
        options: PullOptions[T],
        fetch: Callable[[PageWindow], Coroutine[Any, Any, Page[T]]],
        running: set[Prefetch[Any]],
    ) -> None:
        self.progress = PullProgress(options.noun)
        self._options = options
        self._running = running
        self._planner = Planner(options.per_page, options.limit)
        self._seen = SeenIds()
        self._prefetch = Prefetch(fetch, self._planner.next_window, options.ahead)

    async def next_page(self) -> Page[T] | None:
        """Return the next page, or None after the last; may be cancelled and called again.

        Raises:
            BurkiError: the pull has failed; every further call raises it again.
        """
        if not self.progress.has_started:
            self.progress.start()
            self._running.add(self._prefetch)
            self._prefetch.top_up()
        page = await self._prefetch.next()
        if page is None:
            if self._planner.reached_end:
                self.progress.drift.record_end()
            return None
        page = self._deliver(page)
        self._prefetch.top_up()
        return page

    def fail(self, failure: Exception) -> None:
        """Stop; `next_page` raises *failure* after the pages that had come."""
        self._prefetch.fail(failure)

    async def aclose(self) -> None:
        """End the pull: warn once if the list moved, return when all tasks have ended."""
        self.progress.end()
        self._warn_of_drift()
        try:
            await self._prefetch.aclose()
        finally:  # all tasks have ended, even if this call was cancelled meanwhile
            self._running.discard(self._prefetch)

    def _deliver(self, page: Page[T]) -> Page[T]:
        """Record the next page in order; return it without repeats and cut to the limit."""
        progress, options = self.progress, self._options
        is_second_reading = self._planner.is_second_reading(page.pagination.page)
        flags = self._seen.add([options.key(item) for item in page.items])
        items = page.items
        if repeats := flags.count(False):
            items = tuple(item for item, is_new in zip(items, flags, strict=True) if is_new)
        new = len(items)
        if options.limit is not None:
            items = items[: options.limit - progress.items]
        progress.pages += 1
        progress.items += len(items)
        # A second reading repeats items by itself; that is no change of the list.
        progress.duplicates += 0 if is_second_reading else repeats
        length = len(page.items)
        rows = new if is_second_reading else length
        progress.drift.record_page(page.pagination, length=length, rows=rows)
        if options.matches is not None:
            progress.drift.status_mismatches += sum(not options.matches(item) for item in items)
        again = self._planner.record_page(page, new=new, delivered=progress.items)
        if again is not None:
            self._prefetch.fetch_next(again)
        return page if items is page.items else Page(items, page.pagination)

    def _warn_of_drift(self) -> None:
        if changes := self.progress.changes():
            logger.warning("%s moved while it was read: %s", self._options.name, "; ".join(changes))
