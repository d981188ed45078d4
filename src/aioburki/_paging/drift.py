"""Drift: the changes of the list that the pages of one pull show."""

from __future__ import annotations

from .._page import PageWindow, Pagination

MAX_NAMED_PAGES = 5


class DriftDetector:
    """Compare the pages of one pull with each other, in constant memory.

    Args:
        noun: what an item is called in the sentences; the plural adds an s.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._first: Pagination | None = None
        self._lowest = self._highest = self._latest = 0
        self._most_pages = 0
        self._rows = 0
        self._largest = 0
        self._uneven: list[int] = []  # the first `MAX_NAMED_PAGES` of them
        self._uneven_count = 0
        self._resized = False
        self._complete = False
        self.status_mismatches = 0
        """Items whose status is not the requested one."""
        self.has_shifted = False
        """Whether neighbouring pages shared more or fewer items than planned."""

    def record_page(
        self, window: PageWindow, pagination: Pagination, *, length: int, rows: int
    ) -> None:
        """Record the next page in order.

        Args:
            window: the window that was requested.
            pagination: its pagination.
            length: its number of items.
            rows: how many of them are added to the sum of all pages.
        """
        if self._first is None:
            self._first = pagination
            self._lowest = self._highest = pagination.total_items
            if pagination.per_page < window.per_page:  # the server allows no larger pages
                self._largest = pagination.per_page
        first = self._first
        self._lowest = min(self._lowest, pagination.total_items)
        self._highest = max(self._highest, pagination.total_items)
        self._latest = pagination.total_items
        if pagination.per_page == first.per_page:
            self._most_pages = max(self._most_pages, pagination.total_pages)
        self._rows += rows
        self._resized |= pagination.per_page != min(
            window.per_page, self._largest or window.per_page
        )
        before = (pagination.page - 1) * pagination.per_page
        if length != max(0, min(pagination.per_page, pagination.total_items - before)):
            self._uneven_count += 1
            self._uneven += [pagination.page][: MAX_NAMED_PAGES - len(self._uneven)]

    def record_end(self) -> None:
        """Record that the end of the list was reached, so that the sums can be compared."""
        self._complete = True

    def sentences(self, duplicates: int) -> tuple[str, ...]:
        """Return the changes that were seen, one sentence each.

        Args:
            duplicates: items that were left out because they had been delivered already.
        """
        return () if self._first is None else tuple(self._changes(self._first, duplicates))

    def _changes(self, first: Pagination, duplicates: int) -> list[str]:
        noun = self._noun
        changes: list[str] = []
        fitting = -(-first.total_items // first.per_page)
        if first.total_pages not in (fitting, max(1, fitting)):
            changes.append(
                f"the server announced {_count(first.total_pages, 'page')} of {first.per_page:,} "
                f"for {_count(first.total_items, noun)}"
            )
        if self._lowest != self._highest:
            changes.append(
                f"the server counted {first.total_items:,} {noun}s at first and "
                f"{self._latest:,} at last, between {self._lowest:,} and {self._highest:,}"
            )
        if self._most_pages > first.total_pages:
            changes.append(
                f"the list grew from {first.total_pages:,} to {self._most_pages:,} pages "
                "while it was read"
            )
        if duplicates:
            changes.append(f"{_count(duplicates, f'duplicate {noun}')} left out")
        if self.status_mismatches:
            changes.append(
                f"{_count(self.status_mismatches, noun)} came with another status than asked for"
            )
        if self._uneven:
            pages = _pages(self._uneven, self._uneven_count)
            changes.append(f"{pages} did not hold as many {noun}s as announced")
        if self._resized:
            changes.append("the server changed its page size between pages")
        received = self._rows - duplicates
        if self._complete and received != self._latest:
            were = "was" if received == 1 else "were"
            changes.append(
                f"{_count(received, noun)} {were} received, the server counted {self._latest:,}"
            )
        if self.has_shifted and not changes:
            changes.append(f"{noun}s left or entered between pages, and the count stayed the same")
        return changes


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _pages(numbers: list[int], count: int) -> str:
    named = ", ".join(str(number) for number in numbers)
    more = count - len(numbers)
    noun = "page" if count == 1 else "pages"
    return f"{noun} {named} and {more:,} more" if more else f"{noun} {named}"
