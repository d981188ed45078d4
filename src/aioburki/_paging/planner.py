"""Planner: which windows of the list are still to be read, as the pages show.

The plan is page 1, then 2 … total_pages with one page size. The API states no order and has no
cursor, the list changes while it is read, and a short page in the middle is not its end.
"""

from __future__ import annotations

from typing import Any

from .._page import Page, PageWindow

# Items that enter in front of the reader's place repeat whole pages, and the list grows. After so
# many pages in a row without a new item it is a server that counts without end.
MAX_FRUITLESS_PAGES = 1000


class Planner:
    """Return the windows of one pull in order, page 1 first; grow with the list.

    Args:
        per_page: items in one request.
        limit: maximum number of items that are needed; None for all.
    """

    def __init__(self, per_page: int, limit: int | None) -> None:
        self._per_page = per_page
        self._limit = limit
        self._next = 1
        # Until page 1 is read, it is the only page that is known.
        self._end_of_list = 1
        self._end_of_need = 1 if limit is None or limit > 0 else 0
        self._announced = 1
        self._rows = 0  # of all pages, repeats included
        self._fruitless = 0  # pages in a row without a new item
        self._most_items = 0
        self._items_when_requested: dict[int, int] = {}
        self._second_readings: set[int] = set()

    def next_window(self) -> PageWindow | None:
        """Return the next window to read, or None if no more are known or needed now."""
        if self._next > min(self._end_of_list, self._end_of_need):
            return None
        self._next += 1
        return self._window(self._next - 1)

    def record_page(self, page: Page[Any], *, new: int, delivered: int) -> PageWindow | None:
        """Record the next page, in order; return a window to read before all others, or None.

        That window is the page itself, where it was the short end of the list when it was read
        and another page shows that the list has grown since: what filled it up is in no other
        page. Or it is the page that is the last one now, where the list has become shorter than
        it was announced: items of the pages behind it have moved there.

        Args:
            page: the page as it came.
            new: items on it that no page before had.
            delivered: items delivered so far.
        """
        pagination = page.pagination
        items_when_requested = self._items_when_requested.pop(pagination.page)
        self._most_items = max(self._most_items, pagination.total_items)
        self._fruitless = 0 if new else self._fruitless + 1
        if self._fruitless < MAX_FRUITLESS_PAGES:
            self._end_of_list = max(self._end_of_list, pagination.total_pages)
        self._announced = max(self._announced, pagination.total_pages)
        self._rows += new if self.is_second_reading(pagination.page) else len(page.items)
        is_last = pagination.page >= self._end_of_list
        if new and (pagination.has_next or (is_last and self._rows < pagination.total_items)):
            # `new` ends the pull of a server that always announces a next page, or more items.
            self._end_of_list = max(self._end_of_list, pagination.page + 1)
        missing = None if self._limit is None else self._limit - delivered
        if missing is None:
            self._end_of_need = self._end_of_list
        else:
            self._end_of_need = pagination.page + -(-max(0, missing) // pagination.per_page)
        if missing == 0:
            return None
        if self._has_filled_up_since(page, items_when_requested):
            return self._second_window(pagination.page)
        is_behind = not page.items and pagination.total_pages < pagination.page <= self._announced
        return self._second_window(pagination.total_pages) if is_behind else None

    def _has_filled_up_since(self, page: Page[Any], items_when_requested: int) -> bool:
        pagination, length = page.pagination, len(page.items)
        if pagination.page in self._second_readings:
            return False
        was_end = pagination.page >= pagination.total_pages and not pagination.has_next
        is_short = length < pagination.per_page
        others_count_more = self._most_items > max(items_when_requested, pagination.total_items)
        # Rows and count may come from two statements, with an import between them.
        announced = min(
            pagination.per_page,
            pagination.total_items - (pagination.page - 1) * pagination.per_page,
        )
        itself_counts_more = (
            length < announced and 0 < items_when_requested < pagination.total_items
        )
        return (was_end and is_short and others_count_more) or itself_counts_more

    def is_second_reading(self, page: int) -> bool:
        """Return whether *page* has been read before."""
        return page in self._second_readings

    def is_beyond(self, page: int) -> bool:
        """Return whether *page* lies behind the pages that the server announced."""
        return page > self._announced

    @property
    def reached_end(self) -> bool:
        """Whether every page of the list has been delivered."""
        return self._next > self._end_of_list

    def _second_window(self, page: int) -> PageWindow | None:
        """Return the window of a page that is read a second time; None if it has been."""
        if page < 1 or page in self._second_readings:
            return None
        self._second_readings.add(page)
        return self._window(page)

    def _window(self, page: int) -> PageWindow:
        self._items_when_requested[page] = self._most_items
        return PageWindow(page=page, per_page=self._per_page)
