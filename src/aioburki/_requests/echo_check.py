"""Echo check: whether a response is the one to its request, by the window that it repeats.

A server or a proxy that sends one response too many shifts all that follow on the connection: each
is then taken for the response to the next request. HTTP/1.1 has nothing to tell them apart.
"""

from __future__ import annotations

from typing import Any

import attrs

from .._endpoint import ListQuery
from .._page import PageWindow, Pagination

MAX_KEPT = 10_000


@attrs.frozen
class Mismatch:
    """What a response repeats instead of the window that was requested.

    Attributes:
        problem: the field and its value.
        last_page: its page number, if it is the last page of the list and before the window.
        is_repeated: whether the last response for this window had the same problem.
    """

    problem: str
    is_repeated: bool
    last_page: int | None = None


class EchoCheck:
    """Compare the page number and the page size of responses with those requested.

    A server may allow only smaller pages. So the size must be as requested only if the server has
    repeated such a size, or a larger one, as it was requested. A size that comes twice for one
    window is the server's decision and accepted.
    """

    def __init__(self) -> None:
        self._largest = 0
        self._problems: dict[tuple[str, tuple[tuple[str, str], ...], PageWindow], str] = {}

    def mismatch(
        self, query: ListQuery[Any], window: PageWindow, pagination: Pagination
    ) -> Mismatch | None:
        """Return what does not match, or None if *pagination* is that of *window*."""
        request = (query.path, query.filters, window)
        before = self._problems.pop(request, None)
        asked, size = window.per_page, pagination.per_page
        if pagination.page != window.page:
            problem = f"pagination.page: page {pagination.page} came instead"
        elif size != asked and asked <= self._largest:
            problem = f"pagination.per_page: {size} came instead"
            if problem == before:
                self._largest = min(size, asked - 1)
                return None
        else:
            if size == asked:
                self._largest = max(self._largest, size)
            return None
        if problem != before:
            if len(self._problems) >= MAX_KEPT:  # of requests that were cancelled
                self._problems.clear()
            self._problems[request] = problem
        is_last = pagination.total_pages <= pagination.page < window.page
        last_page = pagination.page if is_last else None
        return Mismatch(problem, problem == before, last_page)
