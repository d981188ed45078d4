"""Read page: a page with the keys of its items, which say where in the list it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import attrs

from .._page import Page
from .order import Key
from .windows import offset_of

T = TypeVar("T")


class Request(NamedTuple):
    """When a page was requested: its number, and whether everything before it had been read."""

    number: int
    is_sequential: bool = False


@attrs.frozen
class ReadPage(Generic[T]):
    """A page, the keys of its items, which are strictly in order, its offset, and its request."""

    page: Page[T]
    keys: Sequence[Key]
    offset: int
    request: Request

    @property
    def end(self) -> int:
        """The offset behind its last item."""
        return self.offset + len(self.keys)

    @property
    def is_last(self) -> bool:
        """Whether the server states that nothing comes after it."""
        pagination = self.page.pagination
        return not pagination.has_next and pagination.total_items <= self.end

    @property
    def is_short(self) -> bool:
        """Whether it has fewer items than its page size, so that nothing comes after it."""
        return len(self.keys) < self.page.pagination.per_page


def read_page(page: Page[T], keys: Sequence[Key], request: Request) -> ReadPage[T]:
    """Return *page* with its keys; its offset is what the server states."""
    return ReadPage(page, keys, offset_of(page.pagination), request)
