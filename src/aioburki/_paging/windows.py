"""Windows: which page number and page size read the list around a given offset.

Page numbers reach multiples of the page size alone, but the page size is free: of all sizes from
half the maximum up, one has a page that starts at the wanted offset or shortly before it.
"""

from __future__ import annotations

from functools import lru_cache

from .._page import PageWindow, Pagination

# Neighbouring windows share a thirtieth of a page: 33 items of 1,000. They cost 4 % more requests,
# and pages still join if at most as many items have left between their requests.
OVERLAP_DIVISOR = 30

# Minimum page size of a probe, if the server allows it: small probes would search too long.
MIN_PROBE = 20


@lru_cache(maxsize=1024)
def window_from(start: int, size: int, least: int) -> PageWindow:
    """Return the window that starts at offset *start* or before it, and reaches furthest.

    Args:
        start: the first offset that it must contain.
        size: maximum page size.
        least: minimum page size.
    """
    sizes = range(least, size + 1)
    best = max(sizes, key=lambda each: (start // each + 1) * each)
    return PageWindow(page=start // best + 1, per_page=best)


@lru_cache(maxsize=1024)
def window_near(start: int, size: int, least: int) -> PageWindow:
    """Return the window that starts at offset *start* or shortly before it, as large as possible.

    Args:
        start: the wanted offset.
        size: maximum page size.
        least: minimum page size.
    """
    sizes = range(least, size + 1)
    best = min(sizes, key=lambda each: (start % each, -each))
    return PageWindow(page=start // best + 1, per_page=best)


def offset_of(window: PageWindow | Pagination) -> int:
    """Return the offset at which *window*, or a page, starts."""
    return (window.page - 1) * window.per_page


class WindowPlan:
    """Plan windows one after the other, which overlap by as much as the seams before needed.

    Args:
        size: maximum page size.
        start: the offset at which reading begins.

    Attributes:
        size: maximum page size; smaller if the server allows no larger pages.
        end: the offset behind the last window.
        overlap: how many items neighbouring windows share.
        is_fixed: whether the server has one page size only, so that windows cannot overlap.
        is_limited: whether the server allows no larger pages than `size`.
    """

    def __init__(self, size: int, start: int) -> None:
        self.size = size
        self.end = start
        self.overlap = 0
        self.is_fixed = False
        self.is_limited = False

    @property
    def least_overlap(self) -> int:
        """Minimum number of items that windows share if they overlap."""
        return max(1, self.size // OVERLAP_DIVISOR)

    def first(self) -> PageWindow:
        """Return the first window: page 1, or one that starts a little before the start."""
        start = self.end - self.least_overlap
        return self._move_to(self.head() if start <= 0 else self.near(start))

    def next(self, overlap: int = 0) -> PageWindow:
        """Return the next window.

        Args:
            overlap: minimum of items that it shares with what lies before it; a window that must
                share some may be larger than the others, like a probe.
        """
        size = self.probe_size if overlap else self.size
        start = max(0, self.end - max(self.overlap, overlap))
        window = window_from(start, size, self._least_of(size))
        if offset_of(window) + window.per_page <= self.end:  # one page size cannot overlap
            window = window_from(self.end, size, self._least_of(size))
        return self._move_to(window)

    def near(self, start: float) -> PageWindow:
        """Return a window that starts at offset *start* or shortly before it."""
        return window_near(max(0, int(start)), self.size, self._least)

    def probe(self, start: float) -> PageWindow:
        """Return a window like `near`, which is larger where pages are very small."""
        return window_near(max(0, int(start)), self.probe_size, self._least_of(self.probe_size))

    @property
    def can_overlap(self) -> bool:
        """Whether windows can share items."""
        return not self.is_fixed

    @property
    def probe_size(self) -> int:
        """Maximum page size of a probe."""
        return self.size if self.is_limited else max(self.size, MIN_PROBE)

    def head(self) -> PageWindow:
        """Return page 1."""
        return PageWindow(1, self.size)

    def widen(self, overlap: int) -> None:
        """Let the windows from now on share at least *overlap* items, at most half a page."""
        self.overlap = min(max(1, self.size // 2), max(self.overlap, self.least_overlap, overlap))
        if not self.can_overlap:
            self.overlap = 0

    def fit(self, window: PageWindow, pagination: Pagination, *, is_first: bool) -> None:
        """Use the page size that the server states for *window*, if it is another one."""
        if pagination.per_page == window.per_page:
            return
        self.is_limited = True
        self.is_fixed |= pagination.per_page > window.per_page
        self.size = pagination.per_page if self.is_fixed else min(self.size, pagination.per_page)
        if is_first:
            self.end = offset_of(pagination) + pagination.per_page
        if not self.can_overlap:
            self.overlap = 0

    @property
    def _least(self) -> int:
        return self._least_of(self.size)

    def _least_of(self, size: int) -> int:
        return size if self.is_fixed else max(1, size // 2)

    def _move_to(self, window: PageWindow) -> PageWindow:
        self.end = offset_of(window) + window.per_page
        return window
