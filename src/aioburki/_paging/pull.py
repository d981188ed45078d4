"""Pull: one reading of a list. Page 1 → total_pages → the rest, in order, each item once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from .._page import Page, PageWindow
from .complete_reading import CompleteReading
from .drift import DriftDetector
from .frontier import Bounds
from .plain_reading import PlainReading
from .prefetch import Prefetch
from .pull_options import PullOptions
from .reading import Proof, Reading
from .unread_fields import UnreadFields, warn_of_unread

logger = logging.getLogger("aioburki")

T = TypeVar("T")


class PullProgress:
    """What a pull has delivered so far, and what changed in the list meanwhile."""

    def __init__(self, noun: str, key: Callable[[Any], int]) -> None:
        self.items = 0
        self.duplicates = 0
        self.pages = 0
        self.probes = 0
        self.proof: Proof = "none"
        self.missing = 0
        self.drift = DriftDetector(noun)
        self.unread = UnreadFields(noun, key)
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
        fetch: returns the page at a window, None for no such page, or raises; called concurrently.
        running: the pulls of one client, to which this one belongs from its first page until it
            is closed.
    """

    def __init__(
        self,
        options: PullOptions[T],
        fetch: Callable[[PageWindow], Coroutine[Any, Any, Page[T] | None]],
        running: set[Prefetch[Any]],
    ) -> None:
        self.progress = PullProgress(options.noun, options.key)
        self._options = options
        self._running = running
        self._reading = _reading(options, self.progress.drift)
        self._ready: deque[Page[T]] = deque()
        self._is_exhausted = False
        self._error: Exception | None = None

        async def fetch_window(window: PageWindow) -> tuple[PageWindow, Page[T] | None]:
            return window, await fetch(window)

        self._prefetch = Prefetch(
            fetch_window,
            self._reading.next_window,
            options.ahead,
            options.requested,
            options.waiting,
        )

    async def wait_for_page(self) -> bool:
        """Wait until the next page has come, and return whether there is one.

        `next_page` then returns it at once. May be cancelled and called again.

        Raises:
            BurkiError: the pull has failed; every further call raises it again.
        """
        if not self.progress.has_started:
            self.progress.start()
            self._prefetch.context = copy_context()
            self._prefetch.context.run(self._options.observer.start)
            self._running.add(self._prefetch)
            self._prefetch.top_up()
        while not self._ready:
            try:
                fetched = None if self._reading.is_done else await self._prefetch.next()
            except Exception as error:
                self._error = error
                raise
            if fetched is None:
                if self._reading.reached_end:
                    self.progress.drift.record_end()
                self._update_progress()
                self._is_exhausted = True
                return False
            self._record(*fetched)
        return True

    async def next_page(self) -> Page[T] | None:
        """Return the next page, or None after the last; may be cancelled and called again.

        Raises:
            BurkiError: the pull has failed; every further call raises it again.
        """
        if not await self.wait_for_page():
            return None
        page = self._ready.popleft()
        self.progress.pages += 1
        self.progress.items += len(page.items)
        self.progress.unread.deliver(page)
        self._update_progress()
        self._options.observer.deliver(page)
        return page

    def request_more(self) -> None:
        """Request further pages, if more may be requested now."""
        self._prefetch.top_up()

    def fail(self, failure: Exception) -> None:
        """Stop; `next_page` raises *failure* after the pages that were fetched before."""
        self._prefetch.fail(failure)

    async def aclose(self) -> None:
        """End the pull: warn if the list moved or fields are unread; await the end of all tasks."""
        self.progress.end()
        self._warn()
        warn_of_unread(self._options.name, self.progress.unread, self._options.log_fields)
        try:
            await self._prefetch.aclose()
        finally:  # all tasks have ended, even if this call was cancelled meanwhile
            self._running.discard(self._prefetch)
            self._end_observer()

    @property
    def is_finished(self) -> bool:
        """Whether everything has been delivered, and nothing was left out for a limit."""
        return not self._ready and self._reading.is_finished

    @property
    def has_gaps(self) -> bool:
        """Whether items may have been missed so far."""
        return self._reading.has_gaps

    def position(self, item: T, untaken: int) -> tuple[str, Bounds] | None:
        """Return the order of the list, and the part of it that is behind *item*.

        None where the list has no usable order.

        Args:
            item: the last item that the consumer has taken.
            untaken: items of the page that was delivered last that the consumer has not taken.
        """
        order, key = self._reading.order, self._reading.key_behind(item)
        if order is None or key is None:
            return None
        untaken += sum(len(page.items) for page in self._ready)
        bounds = Bounds() if self._options.bounds is None else self._options.bounds
        offset = max(0, self._reading.offset - untaken)
        return order.name, attrs.evolve(bounds, after=key, offset=offset)

    def _end_observer(self) -> None:
        context, end = self._prefetch.context, self._options.observer.end
        if context is not None:  # started, and not ended before
            self._prefetch.context = None
            limit = self._options.limit
            is_enough = limit is not None and self.progress.items >= limit
            is_delivered = (self._reading.is_done and not self._ready) or is_enough
            is_finished = self._is_exhausted or (is_delivered and self._error is None)
            context.run(partial(end, is_finished=is_finished, error=self._error))

    def _record(self, window: PageWindow, page: Page[T] | None) -> None:
        reading, progress = self._reading, self.progress
        if page is not None and page.unread:
            progress.unread.record(page)
        ready = reading.record(window, page)
        self._ready.extend(ready)
        if self._options.matches is not None:
            matches = self._options.matches
            progress.drift.status_mismatches += sum(
                not matches(item) for each in ready for item in each.items
            )
        if (urgent := reading.urgent_window()) is not None:
            self._prefetch.fetch_next(urgent)
        if not reading.is_done:
            self._prefetch.top_up()
        self._update_progress()

    def _update_progress(self) -> None:
        reading, progress = self._reading, self.progress
        progress.duplicates = reading.duplicates
        progress.probes = reading.probes
        progress.proof = "none" if self._ready else reading.proof
        progress.missing = reading.missing

    def _warn(self) -> None:
        name, progress = self._options.name, self.progress
        extra = self._options.log_fields
        changes = "; ".join(progress.changes())
        is_proved = progress.proof in ("single page", "coverage")
        is_read = self._reading.is_done and not self._ready
        if not self._options.orders or not is_read or is_proved:
            if changes:
                logger.warning("%s moved while it was read: %s", name, changes, extra=extra)
            return
        unproved = "it is not proved that nothing was missed"
        if progress.missing:
            unproved += f": the server counts {progress.missing:,} more"
        if changes:
            text = "%s moved while it was read, and %s: %s"
            logger.warning(text, name, unproved, changes, extra=extra)
        else:
            logger.warning("%s was read, but %s", name, unproved, extra=extra)


def _reading(options: PullOptions[T], drift: DriftDetector) -> Reading[T]:
    if not options.orders:
        return PlainReading(options.key, options.per_page, options.limit, drift)
    return CompleteReading(
        options.orders,
        options.key,
        options.per_page,
        limit=options.limit,
        drift=drift,
        bounds=options.bounds,
    )
