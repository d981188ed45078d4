"""Pull options: what a pull reads, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs

from .._page import Page
from .frontier import Bounds
from .order import SortOrder

T = TypeVar("T")


class PullObserver(Protocol):
    """What is called at the start of a pull, with each page that it delivers, and at its end."""

    def start(self) -> None:
        """Record that the pull starts: its first page is requested next.

        Runs in a context of the pull. What it sets there holds for all tasks of the pull.
        """
        ...

    def deliver(self, page: Page[Any], /) -> None:
        """Record that *page* is delivered."""
        ...

    def end(self, *, is_finished: bool, error: Exception | None) -> None:
        """Record that the pull is closed and all its tasks have ended; runs in that context too.

        Args:
            is_finished: whether everything was delivered before.
            error: what the pull has raised; None if it has raised nothing.
        """
        ...


@attrs.frozen
class PullOptions(Generic[T]):
    """What a pull reads, and how.

    Attributes:
        name: the list in log lines, such as ``"campaign 42"``.
        noun: what an item is called in messages; the plural adds an s.
        key: returns the id of an item.
        per_page: items in one request.
        limit: maximum number of items to deliver; None for all.
        ahead: maximum number of pages that are requested or waiting to be delivered.
        requested: maximum number of pages that are requested.
        waiting: returns how many of these wait until they are requested again.
        observer: called at the start, with each page, and at the end.
        orders: the orders that the list may have, the preferred one first; empty for a plain
            pull, which proves nothing.
        bounds: the part of the list to read; None for all of it.
        matches: returns whether an item passes the filter that was requested; None for no filter.
        log_fields: what log records of the pull have as ``extra``.
    """

    name: str
    noun: str
    key: Callable[[T], int]
    per_page: int
    limit: int | None
    ahead: int
    requested: int
    waiting: Callable[[], int]
    observer: PullObserver
    orders: Sequence[SortOrder[T]] = ()
    bounds: Bounds | None = None
    matches: Callable[[T], bool] | None = None
    log_fields: Mapping[str, object] = attrs.field(factory=dict)
