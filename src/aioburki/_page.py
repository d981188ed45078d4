"""Page: a part of a list as the server returned it, and the page window that requests it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import attrs

from ._pydantic import data_schema

T = TypeVar("T")


@attrs.frozen
class PageWindow:
    """A part of the list, given by page number and page size; the API has no other way.

    *place* is its place among the windows of one pull, in the order in which they are delivered.
    The lowest is requested first.
    """

    page: int
    per_page: int
    place: int = attrs.field(default=0, eq=False, repr=False)


@attrs.frozen
class Pagination:
    """The pagination that the server states for a page, at the time of that response."""

    page: int
    per_page: int
    total_items: int
    total_pages: int
    has_next: bool
    has_prev: bool

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        return data_schema(cls, handler)


@attrs.frozen
class UnreadField:
    """An optional field of an item that could not be read, and has its default instead.

    Attributes:
        index: index of the item on the page as the server returned it, from 0.
        place: the field, such as ``contacts[17].created_at``.
        reason: what is wrong with it; holds no value.
    """

    index: int
    place: str
    reason: str


@attrs.frozen
class Page(Generic[T]):
    """The items of one page, in the server's order, and its pagination.

    `unread` names the optional fields that could not be read; only of a page as it was decoded.
    """

    items: tuple[T, ...] = attrs.field(repr=False)
    pagination: Pagination
    unread: tuple[UnreadField, ...] = ()
