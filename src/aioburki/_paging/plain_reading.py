"""Plain reading: pages 1 … total_pages of one size; nothing is proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from .._page import Page, PageWindow
from .drift import DriftDetector
from .planner import Planner
from .reading import Proof
from .seen_ids import SeenIds

T = TypeVar("T")


class PlainReading(Generic[T]):
    """Read pages 1 … total_pages of one size, and leave out repeats; nothing is proved."""

    probes = 0
    is_done = False
    is_finished = False
    has_gaps = True
    order = None
    offset = 0

    def __init__(
        self,
        identity: Callable[[T], int],
        per_page: int,
        limit: int | None,
        drift: DriftDetector,
    ) -> None:
        self._identity = identity
        self._limit = limit
        self._drift = drift
        self._planner = Planner(per_page, limit)
        self._seen = SeenIds()
        self._urgent: PageWindow | None = None
        self._is_single_page = False
        self._missing = 0
        self.delivered = 0
        self.duplicates = 0

    @property
    def reached_end(self) -> bool:
        """Whether every page of the list has been delivered."""
        return self._planner.reached_end

    @property
    def proof(self) -> Proof:
        """How the pull is proved complete."""
        return "single page" if self._is_single_page else "none"

    @property
    def missing(self) -> int:
        """How many more items the server counts than were delivered."""
        return self._missing

    def key_behind(self, _item: T, /) -> None:
        """Return None: a plain pull has no order."""

    def next_window(self) -> PageWindow | None:
        """Return the next window to read, or None if no more are known or needed now."""
        return self._planner.next_window()

    def urgent_window(self) -> PageWindow | None:
        """Return the page that is read a second time, before all others, or None."""
        window, self._urgent = self._urgent, None
        return window

    def record(self, window: PageWindow, page: Page[T] | None) -> list[Page[T]]:
        """Record the next page in order; return it without repeats and cut to the limit."""
        assert page is not None
        is_second_reading = self._planner.is_second_reading(page.pagination.page)
        flags = self._seen.add([self._identity(item) for item in page.items])
        items = page.items
        if repeats := flags.count(False):
            items = tuple(item for item, is_new in zip(items, flags, strict=True) if is_new)
        new = len(items)
        if self._limit is not None:
            items = items[: self._limit - self.delivered]
        self.delivered += len(items)
        # A second reading repeats items by itself; that is no change of the list.
        self.duplicates += 0 if is_second_reading else repeats
        length = len(page.items)
        rows = new if is_second_reading else length
        self._drift.record_page(window, page.pagination, length=length, rows=rows)
        self._urgent = self._planner.record_page(page, new=new, delivered=self.delivered)
        pagination = page.pagination
        self._is_single_page = (
            pagination.page == 1 and not pagination.has_next and pagination.total_items <= length
        )
        is_cut = self._limit is not None and self.delivered >= self._limit
        self._missing = 0 if is_cut else max(0, pagination.total_items - self.delivered)
        if not page.items and self._planner.is_beyond(pagination.page):
            return []  # it was requested only because the server counts more
        return [page if items is page.items else Page(items, pagination)]
