"""Counts: how many items the server counts, from page to page."""

from __future__ import annotations

from .._page import Pagination

# A quarter of a list may have been replaced by other items while its count did not change.
TURNOVER_DIVISOR = 4


class Counts:
    """Record the length of the list that the pages of one pull state.

    Attributes:
        pages: pages that have come.
        first: the number of items that the first page counted.
        latest: the number of items that the latest page counted.
        have_moved: whether the counts have differed.
    """

    def __init__(self) -> None:
        self.pages = 0
        self.first = 0
        self.latest = 0
        self.have_moved = False
        self._most = 0

    def record(self, pagination: Pagination) -> None:
        """Record the next page."""
        self.pages += 1
        if self.pages == 1:
            self.first = pagination.total_items
        self.latest = pagination.total_items
        self._most = max(self._most, pagination.total_items)
        self.have_moved |= pagination.total_items != self.first

    def have_left(self, delivered: int) -> int:
        """Return how many items have left the list at least.

        Args:
            delivered: how many items of the list have been read.
        """
        return max(self._most, delivered) - self.latest

    @property
    def growth(self) -> int:
        """How many items have entered the list at least."""
        return max(0, self.latest - self.first)
