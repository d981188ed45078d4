"""Endpoint: all that is particular to one list of the API, as one value.

A second endpoint is one new module like `_list_contacts`: an attrs class for its items and an
`Endpoint`. `tests/test_second_endpoint.py` is an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import attrs

from ._decoding import PageDecoder
from ._page import PageWindow
from ._paging import SortOrder

T = TypeVar("T")


@attrs.frozen
class Endpoint(Generic[T]):
    """A list that the API returns in pages; paging, requests and reports are the same for all.

    Attributes:
        path: path of the URL, with ``{campaign_id}`` in it.
        noun: what an item is called in messages; the plural adds an s.
        decoder: decodes the body of a response to a page of items.
        key: returns the id of an item, by which duplicates are found.
        orders: the orders that the list may have, the preferred one first; by default rising or
            falling ids.
    """

    path: str
    noun: str
    decoder: PageDecoder[T]
    key: Callable[[T], int]
    orders: Sequence[SortOrder[T]] = attrs.Factory(
        lambda self: id_orders(self.key), takes_self=True
    )


@attrs.frozen
class ListQuery(Generic[T]):
    """A list to read: the endpoint, the campaign, and the filters as URL parameters."""

    endpoint: Endpoint[T]
    campaign_id: int
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """Return the path of the URL."""
        return self.endpoint.path.format(campaign_id=self.campaign_id)

    def parameters(self, window: PageWindow) -> dict[str, str]:
        """Return the URL parameters that ask for *window*."""
        paging = {"page": str(window.page), "per_page": str(window.per_page)}
        return paging | dict(self.filters)


def id_orders(key: Callable[[T], int]) -> tuple[SortOrder[T], SortOrder[T]]:
    """Return the orders by rising and by falling ids."""
    return (
        SortOrder("id", (key,), is_dense=True),
        SortOrder("-id", (key,), is_falling=True, is_dense=True),
    )
