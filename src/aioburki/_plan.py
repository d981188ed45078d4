"""Plan: which windows of the list are still to be asked for, as the pages tell it.

Today's plan is page 1, then 2 … total_pages with one page size. The API states no order and
has no cursor, the list moves while it is read, and a short page in the middle is not its end.
"""

from __future__ import annotations

from ._models import Pagination
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

    def next_window(self) -> Window | None:
        """Return the next window to ask for, or None if no more are known or needed now."""
        if self._next > min(self._end_of_list, self._end_of_need):
            return None
        window = Window(page=self._next, per_page=self._per_page)
        self._next += 1
        return window

    def learn(self, said: Pagination, *, new: int, delivered: int) -> None:
        """Take in what the next page said, in order.

        *new* is the number of contacts on it that no page before had, *delivered* the sum
        of them so far.
        """
        self._end_of_list = max(self._end_of_list, said.total_pages)
        if said.has_next and new:
            # `new` keeps a server that always claims a next page from being asked for ever.
            self._end_of_list = max(self._end_of_list, said.page + 1)
        if self._limit is None:
            self._end_of_need = self._end_of_list
        else:
            missing = max(0, self._limit - delivered)
            self._end_of_need = said.page + -(-missing // said.per_page)

    @property
    def reached_end(self) -> bool:
        """Tell whether every page of the list has been handed out."""
        return self._next > self._end_of_list
