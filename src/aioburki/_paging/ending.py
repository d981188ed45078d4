"""Ending: whether a page is the last one of its list."""

from __future__ import annotations

from typing import Any

from .._page import Page
from .counts import Counts
from .read_page import ReadPage

# After so many windows in a row behind the announced end without a new item, the pull ends
# unproved: the count of the server is wrong.
MAX_FRUITLESS = 5

# After so many pages in a row without a new item, it is a server whose count never ends.
MAX_FRUITLESS_PAGES = 1000

# Windows behind the announced end, and the list grows as fast as it is read.
MAX_END_READINGS = 100


class Ending:
    """Decide whether a page is the last one, and whether the list shows no end.

    Args:
        counts: what the server counts.

    Attributes:
        empty: sequential windows in a row without items (`Request.is_sequential`).
        is_endless: whether too many pages in a row had no new item, or the list grows without end.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._fruitless = 0  # pages in a row
        self._fruitless_behind_end = 0
        self._readings = 0
        self.empty = 0
        self.is_endless = False

    def is_end(self, read: ReadPage[Any], *, has_moved: bool) -> bool:
        """Return whether nothing came after *read*, a page that has joined.

        Args:
            read: the page.
            has_moved: whether the list was seen to move.
        """
        # On a full last page the count is the only evidence. It is accepted while the list shows no
        # movement: then rows and count of one response agree.
        is_counted = not has_moved and read.page.pagination.total_items == read.end
        return read.is_last and (read.is_short or is_counted)

    def record_reading(self) -> None:
        """Record that a window behind the announced end is requested."""
        self._readings += 1
        self.is_endless |= self._readings > MAX_END_READINGS

    def record_new(self) -> None:
        """Record that a page had new items."""
        self._fruitless = self._fruitless_behind_end = self.empty = 0

    def record_fruitless(self, read: ReadPage[Any]) -> None:
        """Record that *read* had no new item."""
        self._fruitless += 1
        if read.request.is_sequential:
            self._fruitless_behind_end += read.is_short or read.end >= self._counts.latest
            self.empty = 0 if read.keys else self.empty + 1
        self.is_endless |= (
            self._fruitless_behind_end >= MAX_FRUITLESS or self._fruitless >= MAX_FRUITLESS_PAGES
        )


def is_whole_list(page: Page[Any]) -> bool:
    """Return whether *page* is page 1, and no other."""
    pagination, length = page.pagination, len(page.items)
    is_full = length >= pagination.per_page
    is_counted = pagination.total_items == length if is_full else pagination.total_items <= length
    return pagination.page == 1 and not pagination.has_next and is_counted
