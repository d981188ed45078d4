"""Sweeps: a list without a usable order, read page by page until as many as it counts are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from .._page import Page, PageWindow
from .seen_ids import SeenIds

T = TypeVar("T")

# Each sweep has a page size of its own: other sizes move the borders between pages, and with them
# the items that an unstable order hides there.
SIZE_STEP = 7

# After so many sweeps in a row without a new item, the missing items are taken not to exist.
MAX_FRUITLESS_SWEEPS = 3


class Sweeps(Generic[T]):
    """Read all pages, leave out repeats by id, and read again while items are missing.

    Args:
        identity: returns the id of an item.
        per_page: page size of the first sweep.
        seen: the ids that were delivered.
        delivered: how many these are.
        start: the offset where the first sweep begins.
        pending: pages that were requested before the first sweep; they may overlap.
        total: how many items the server counted last.
        counts_moved: whether its counts have differed.
        budget: maximum number of requests of further sweeps.

    Attributes:
        pending: pages that are requested and not recorded yet.
        further: requests sent for sweeps after the first.
        duplicates: items that the first sweep had more than once.
        is_done: whether nothing is missing, or no further sweep is allowed.
    """

    def __init__(
        self,
        identity: Callable[[T], int],
        per_page: int,
        seen: SeenIds,
        *,
        delivered: int,
        start: int,
        pending: int,
        total: int,
        counts_moved: bool,
        budget: int,
    ) -> None:
        self._identity = identity
        self._size = self._first_size = per_page
        self._seen = seen
        self._next = start // per_page + 1
        self.pending = self._earlier = pending
        self._budget = budget
        self._sweep = 1
        self._is_fruitful = True
        self._fruitless = 0
        self.further = 0
        self.delivered = delivered
        self.total = total
        self.counts_moved = counts_moved
        self.duplicates = 0
        self.is_done = False

    @property
    def missing(self) -> int:
        """How many more items the server counts than were delivered."""
        return max(0, self.total - self.delivered)

    @property
    def is_counted(self) -> bool:
        """Whether the server's counts never differed, and as many items were delivered."""
        return not self.counts_moved and self.delivered == self.total

    def next_window(self) -> PageWindow | None:
        """Return the next window to read, or None if none is known or wanted now."""
        is_allowed = self._sweep == 1 or self.further < self._budget
        has_more = is_allowed and (self._next - 1) * self._size < self.total
        if not has_more and (self.pending or not self._begin_sweep()):
            return None
        self._next += 1
        self.pending += 1
        self.further += self._sweep > 1
        return PageWindow(self._next - 1, self._size)

    def record(self, page: Page[T] | None) -> list[Page[T]]:
        """Record a page that was requested; return it without repeats, or nothing."""
        self.pending -= 1
        is_earlier, self._earlier = self._earlier > 0, max(0, self._earlier - 1)
        if page is None:
            return []
        self.counts_moved |= page.pagination.total_items != self.total
        self.total = page.pagination.total_items
        return self.take(page, may_repeat=is_earlier)

    def take(self, page: Page[T], *, may_repeat: bool = True) -> list[Page[T]]:
        """Return *page* without repeats, or nothing.

        Args:
            page: the page.
            may_repeat: whether it overlaps others by plan, so that only items that it repeats
                itself are duplicates.
        """
        ids = list(map(self._identity, page.items))
        flags = self._seen.add(ids)
        items = tuple(item for item, is_new in zip(page.items, flags, strict=True) if is_new)
        if self._sweep == 1:
            self.duplicates += len(ids) - (len(set(ids)) if may_repeat else len(items))
        self.delivered += len(items)
        self._is_fruitful |= bool(items)
        return [Page(items, page.pagination)] if items else []

    def _begin_sweep(self) -> bool:
        self._fruitless = 0 if self._is_fruitful else self._fruitless + 1
        is_spent = self._fruitless >= MAX_FRUITLESS_SWEEPS or self.further >= self._budget
        if not self.missing or is_spent:
            self.is_done = True
            return False
        self._sweep += 1
        smallest = max(1, self._first_size // 2)
        self._size = max(smallest, self._first_size - SIZE_STEP * (self._sweep - 1))
        self._next = 1
        self._is_fruitful = False
        return True
