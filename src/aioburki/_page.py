"""Page: a part of a list, as the server returned it, and the window that asks for one."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class PageWindow:
    """A part of the list, named by the only means the API has: page number and page size."""

    page: int
    per_page: int


@attrs.frozen
class Pagination:
    """What the server states about a page's place in the list, at the time of that answer."""

    page: int
    per_page: int
    total_items: int
    total_pages: int
    has_next: bool
    has_prev: bool


@attrs.frozen
class Page(Generic[T]):
    """The items of one page, in the server's order, and its pagination."""

    items: tuple[T, ...] = attrs.field(repr=False)
    pagination: Pagination
