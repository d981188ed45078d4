"""Page: a part of a list as the server returned it, and the page window that requests it."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class PageWindow:
    """A part of the list, given by page number and page size; the API has no other way."""

    page: int
    per_page: int


@attrs.frozen
class Pagination:
    """The pagination that the server states for a page, at the time of that response."""

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
