"""Complete reading: every item of a list that moves, with a proof that nothing was missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from .._page import Page, PageWindow
from .coverage import Coverage
from .drift import DriftDetector
from .frontier import Bounds
from .order import Key, SortOrder
from .reading import Proof
from .seen_ids import SeenIds
from .sweeps import Sweeps

T = TypeVar("T")


class CompleteReading(Generic[T]):
    """Read every item of a list that moves; without a usable order, as many as it counts.

    Args:
        orders: the orders that the list may have, the preferred one first; of a part, its own.
        identity: returns the id of an item.
        per_page: maximum page size.
        limit: maximum number of items to deliver; None for all.
        drift: records the changes that the pages show.
        bounds: the part of the list to read; None for all of it.
    """

    def __init__(
        self,
        orders: Sequence[SortOrder[T]],
        identity: Callable[[T], int],
        per_page: int,
        *,
        limit: int | None,
        drift: DriftDetector,
        bounds: Bounds | None = None,
    ) -> None:
        self._identity = identity
        self._limit = limit
        self._drift = drift
        self._is_part = bounds is not None
        self._seen = SeenIds()
        self._coverage = Coverage(orders, identity, per_page, self._seen, bounds)
        self._sweeps: Sweeps[T] | None = None
        self._pages = 0
        self._left_out = 0
        self.delivered = 0

    @property
    def order(self) -> SortOrder[T] | None:
        """The order in which items were delivered; None if there was none, or more than one."""
        has_one = self._sweeps is None and self._coverage.frontier.is_prefix
        return self._coverage.order if has_one else None

    def key_behind(self, item: T, /) -> Key | None:
        """Return the key behind which items are left when *item* was the last one delivered."""
        return None if self.order is None else self._coverage.frontier.key_behind(item)

    @property
    def offset(self) -> int:
        """The offset behind the last item that was delivered."""
        return self._coverage.frontier.offset - self._left_out

    @property
    def is_finished(self) -> bool:
        """Whether the list, or its part, was read to its end."""
        is_cut = self._is_part and self._coverage.is_stuck
        return self.is_done and not self._is_limit_reached and not is_cut

    @property
    def has_gaps(self) -> bool:
        """Whether items may have been missed so far."""
        return not self._coverage.is_complete

    @property
    def duplicates(self) -> int:
        """Items that the server repeated; not those that overlapping windows share."""
        return self._coverage.duplicates + (0 if self._sweeps is None else self._sweeps.duplicates)

    @property
    def probes(self) -> int:
        """Requests sent to close seams, to read page 1 once more, and for further sweeps."""
        return self._coverage.joiner.probes + (0 if self._sweeps is None else self._sweeps.further)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to read or to deliver."""
        coverage = self._coverage
        if self._sweeps is not None:
            return self._sweeps.is_done or self._is_limit_reached
        is_stopped = coverage.is_stuck and (self._is_part or self._is_limit_reached)
        return coverage.is_done or is_stopped or self._limit == 0

    @property
    def reached_end(self) -> bool:
        """Whether, at the end of a pull, its items can be compared with the server's count."""
        return not self._is_part and not self._is_limit_reached

    @property
    def proof(self) -> Proof:
        """How it is proved that nothing was missed; ``"none"`` before the reading is done."""
        if not self.is_done:
            return "none"
        if self._coverage.is_single_page or (self._pages <= 1 and self._is_limit_reached):
            return "single page"
        if self._sweeps is not None:
            return "count" if self._sweeps.is_counted else "none"
        return "coverage" if self._coverage.is_complete else "none"

    @property
    def missing(self) -> int:
        """How many more items the server counts than were delivered; 0 if complete."""
        if self._is_part or self._is_limit_reached or self.proof != "none":
            return 0
        total = self._coverage.counts.latest if self._sweeps is None else self._sweeps.total
        return max(0, total - self.delivered)

    @property
    def _is_limit_reached(self) -> bool:
        return self._limit is not None and self.delivered >= self._limit

    def next_window(self) -> PageWindow | None:
        """Return the next window to read, or None if none is known or wanted now."""
        if self.is_done:
            return None
        coverage, sweeps = self._coverage, self._sweeps
        if sweeps is not None:
            ahead = sweeps.pending * coverage.plan.size
        else:
            ahead = coverage.plan.end - coverage.frontier.offset if coverage.is_waiting else 0
        if ahead and self._limit is not None and self.delivered + ahead >= self._limit:
            return None
        return coverage.next_window() if sweeps is None else sweeps.next_window()

    def urgent_window(self) -> PageWindow | None:
        """Return the probe to send before anything else, or None."""
        return None if self.is_done or self._sweeps is not None else self._coverage.next_probe()

    def record(self, window: PageWindow, page: Page[T] | None) -> list[Page[T]]:
        """Record the next page in order, None for no such page; return what can be delivered."""
        before = self.delivered + self.duplicates
        if self._sweeps is not None:
            ready = self._cut(self._sweeps.record(page))
        else:
            ready = self._cut(self._coverage.record(window, page))
            if self._coverage.is_stuck and not self.is_done:
                ready += self._cut(self._begin_sweeps())
            elif self._is_limit_reached:
                self._coverage.end_early()
        self._pages += 1
        if page is not None:
            rows = self.delivered + self.duplicates - before
            length = len(page.items)
            self._drift.record_page(window, page.pagination, length=length, rows=rows)
        self._drift.has_shifted = self._coverage.has_shifted
        return ready

    def _begin_sweeps(self) -> list[Page[T]]:
        coverage = self._coverage
        pages = -(-coverage.counts.latest // coverage.plan.size)
        self._sweeps = sweeps = Sweeps(
            self._identity,
            coverage.plan.size,
            self._seen,
            delivered=self.delivered,
            start=coverage.unread_from,
            pending=coverage.pending,
            total=coverage.counts.latest,
            counts_moved=coverage.counts.have_moved,
            # Items that were dropped are read once more, even if probes have spent the budget.
            budget=max(coverage.joiner.budget, pages if coverage.joiner.has_dropped else 0),
        )
        return [ready for page in coverage.joiner.drain() for ready in sweeps.take(page)]

    def _cut(self, pages: list[Page[T]]) -> list[Page[T]]:
        """Count what is delivered, and cut it to the limit."""
        cut: list[Page[T]] = []
        for page in pages:
            items = page.items
            if self._limit is not None:
                items = items[: self._limit - self.delivered]
                self._left_out += len(page.items) - len(items)
                if page.items and not items:
                    continue
            self.delivered += len(items)
            cut.append(page if items is page.items else Page(items, page.pagination))
        return cut
