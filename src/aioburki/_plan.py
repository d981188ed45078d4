"""Plan: which windows of the list are still to be asked for, as the pages tell it.

Today's plan is page 1, then 2 … total_pages with one page size. The API states no order and
has no cursor, the list moves while it is read, and a short page in the middle is not its end.
"""

from __future__ import annotations

from ._models import ContactPage
from ._query import ContactQuery, Window


class Plan:
    """Hand out the windows of one pull in order, page 1 first; grow with the list."""

    def __init__(self, query: ContactQuery) -> None:
        self._per_page = query.per_page
        self._limit = query.limit
        self._next = 1
        # Until page 1 says more, it is the only page there is to ask for.
        self._end_of_list = 1
        self._end_of_need = 1 if query.limit is None or query.limit > 0 else 0
        self._most_items = 0
        self._items_when_asked: dict[int, int] = {}
        self._second_readings: set[int] = set()

    def next_window(self) -> Window | None:
        """Return the next window to ask for, or None if no more are known or needed now."""
        if self._next > min(self._end_of_list, self._end_of_need):
            return None
        self._next += 1
        return self._window(self._next - 1)

    def learn(self, page: ContactPage, *, new: int, delivered: int) -> Window | None:
        """Take in the next page, in order; return a window to be read before all others.

        That is the page itself, where it was the short end of the list when it was read and
        another page tells that the list has grown since: what filled it up is nowhere else.

        Args:
            page: the page as it came.
            new: contacts on it that no page before had.
            delivered: contacts handed out so far.
        """
        said = page.pagination
        known_before = max(self._items_when_asked.pop(said.page), said.total_items)
        self._most_items = max(self._most_items, said.total_items)
        self._end_of_list = max(self._end_of_list, said.total_pages)
        if said.has_next and new:
            # `new` keeps a server that always claims a next page from being asked for ever.
            self._end_of_list = max(self._end_of_list, said.page + 1)
        missing = None if self._limit is None else self._limit - delivered
        if missing is None:
            self._end_of_need = self._end_of_list
        else:
            self._end_of_need = said.page + -(-max(0, missing) // said.per_page)
        was_short_end = said.page >= said.total_pages and len(page) < said.per_page
        has_grown = self._most_items > known_before
        if was_short_end and has_grown and not said.has_next and missing != 0:
            self._second_readings.add(said.page)
            return self._window(said.page)
        return None

    def is_second_reading(self, page: int) -> bool:
        """Tell whether *page* has been read before."""
        return page in self._second_readings

    @property
    def reached_end(self) -> bool:
        """Tell whether every page of the list has been handed out."""
        return self._next > self._end_of_list

    def _window(self, page: int) -> Window:
        self._items_when_asked[page] = self._most_items
        return Window(page=page, per_page=self._per_page)
