"""Reading: the interface of the two ways to read a list, plain and complete."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

from .._page import Page, PageWindow
from .order import Key, SortOrder

T = TypeVar("T")

Proof = Literal["single page", "coverage", "count", "none"]


class Reading(Protocol[T]):
    """Decide which window to read next, and which items are new; sends nothing."""

    @property
    def duplicates(self) -> int:
        """Items that the server repeated."""
        ...

    @property
    def probes(self) -> int:
        """Requests sent to close seams."""
        ...

    @property
    def proof(self) -> Proof:
        """How it is proved that nothing was missed; ``"none"`` before the reading is done."""
        ...

    @property
    def missing(self) -> int:
        """How many more items the server counts than were delivered; 0 if complete."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to read or to deliver."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the list, or its part, was read to its end."""
        ...

    @property
    def reached_end(self) -> bool:
        """Whether, at the end of a pull, its items can be compared with the server's count."""
        ...

    @property
    def has_gaps(self) -> bool:
        """Whether items may have been missed so far."""
        ...

    @property
    def order(self) -> SortOrder[T] | None:
        """The order in which items were delivered; None if there was none, or more than one."""
        ...

    def key_behind(self, item: T, /) -> Key | None:
        """Return the key behind which items are left when *item* was the last one delivered.

        None if `order` is None, or the item has no key.
        """
        ...

    @property
    def offset(self) -> int:
        """The offset behind the last item that was delivered."""
        ...

    def next_window(self) -> PageWindow | None:
        """Return the next window to read, or None if none is known or wanted now."""
        ...

    def record(self, window: PageWindow, page: Page[T] | None) -> list[Page[T]]:
        """Record the next page in order, None for no such page; return what can be delivered."""
        ...

    def urgent_window(self) -> PageWindow | None:
        """Return a window to read before all others, or None."""
        ...
