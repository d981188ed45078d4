"""Read keys: how many items have been read between two keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .order import Key, SortOrder

# All keys are kept of the latest pages, which the next page overlaps, and of the first pages, which
# are compared with page 1 when it is read once more. Of the others only the last key is kept.
LATEST_PAGES = 4
FIRST_PAGES = 2


class ReadKeys:
    """Count the keys that have been read, in the order of the list, in little memory."""

    def __init__(self) -> None:
        self._first: Key | None = None
        self._last_keys: list[Key] = []  # of each page
        self._counts: list[int] = [0]  # of the keys before each page, and of all
        self._keys: list[Sequence[Key]] = []  # of each page, empty if they are not kept

    @property
    def is_empty(self) -> bool:
        """Whether no key has been read."""
        return not self._last_keys

    @property
    def total(self) -> int:
        """How many keys have been read."""
        return self._counts[-1]

    def add(self, keys: Sequence[Key]) -> None:
        """Record *keys*, which come after all others; at least one."""
        self._first = keys[0] if self._first is None else self._first
        self._last_keys.append(keys[-1])
        self._counts.append(self._counts[-1] + len(keys))
        self._keys.append(keys)
        if (old := len(self._keys) - LATEST_PAGES - 1) >= FIRST_PAGES:
            self._keys[old] = ()

    def place_of_first(self, order: SortOrder[Any], keys: Sequence[Key]) -> int:
        """Return how many of sorted *keys* come before the first that has been read.

        At least one has been read.
        """
        place = order.first_behind(keys, self._first)
        return place - (place > 0 and keys[place - 1] == self._first)

    def count(self, order: SortOrder[Any], first: Key | None, last: Key | None) -> int:
        """Return how many keys lie between *first* and *last*, these included, or a few less.

        Args:
            order: the order of the list.
            first: the first key; None for the start of the list.
            last: the last key; None for its end.
        """
        before = 0 if first is None else self._most_before(order, first)
        return (self._counts[-1] if last is None else self._least_up_to(order, last)) - before

    def _most_before(self, order: SortOrder[Any], key: Key) -> int:
        """Return how many keys come before *key*, or a few more."""
        place = order.first_behind(self._last_keys, key)
        if place and self._last_keys[place - 1] == key:
            return self._counts[place] - 1
        if place == len(self._keys):
            return self._counts[place]
        if not (keys := self._keys[place]):
            return self._counts[place + 1]
        up_to = order.first_behind(keys, key)
        return self._counts[place] + up_to - (up_to > 0 and keys[up_to - 1] == key)

    def _least_up_to(self, order: SortOrder[Any], key: Key) -> int:
        """Return how many keys come up to *key*, or a few less."""
        place = order.first_behind(self._last_keys, key)
        keys = self._keys[place] if place < len(self._keys) else ()
        return self._counts[place] + order.first_behind(keys, key)
