"""Seen: the ids that a pull has delivered, so that none is delivered twice.

A set of a million ids takes 80 MB. While ids come in order (rising or falling, gaps or not)
they are kept page by page as offsets from the page's first id, in the smallest array that
holds them: one to four bytes an id. Only ids that come out of order go into a set.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import islice
from operator import lt

_TYPES = (("B", 1 << 8), ("H", 1 << 16), ("I", 1 << 32), ("Q", 1 << 64))


class SeenIds:
    """Remember ids; exact, whatever their order."""

    def __init__(self) -> None:
        self._sign = 0  # 1 in a rising list, -1 in a falling one, 0 while one id is all we know
        self._last: int | None = None
        self._starts: list[int] = []
        self._blocks: list[Sequence[int]] = []
        self._loose: set[int] = set()

    def add(self, ids: Sequence[int]) -> list[bool]:
        """Remember *ids* and tell for each whether it is new."""
        if not ids:
            return []
        if not self._sign:
            self._find_direction(ids)
        keys = [-number for number in ids] if self._sign < 0 else ids
        if self._continues(keys):
            self._append(keys)
            return [True] * len(keys)
        return self._add_each(keys)

    def _find_direction(self, ids: Sequence[int]) -> None:
        first = ids[0] if self._last is None else self._last
        other = next((number for number in reversed(ids) if number != first), first)
        self._sign = (other > first) - (other < first)
        if self._sign < 0 and self._last is not None:
            self._starts, self._blocks = [], []
            self._append([-first])

    def _continues(self, keys: Sequence[int]) -> bool:
        if self._last is not None and keys[0] <= self._last:
            return False
        return all(map(lt, keys, islice(keys, 1, None)))

    def _append(self, keys: Sequence[int]) -> None:
        self._starts.append(keys[0])
        self._blocks.append(_offsets(keys))
        self._last = keys[-1]

    def _add_each(self, keys: Sequence[int]) -> list[bool]:
        rising: list[int] = []
        last = self._last
        new: list[bool] = []
        for key in keys:
            if last is None or key > last:
                rising.append(key)
                last = key
                new.append(True)
            elif key in self._loose or _holds(rising, key) or self._in_blocks(key):
                new.append(False)
            else:
                self._loose.add(key)
                new.append(True)
        if rising:
            self._append(rising)
        return new

    def _in_blocks(self, key: int) -> bool:
        index = bisect_right(self._starts, key) - 1
        return index >= 0 and _holds(self._blocks[index], key - self._starts[index])


def _holds(rising: Sequence[int], value: int) -> bool:
    place = bisect_left(rising, value)
    return place < len(rising) and rising[place] == value


def _offsets(keys: Sequence[int]) -> Sequence[int]:
    first = keys[0]
    span = keys[-1] - first
    offsets = [key - first for key in keys]
    for code, size in _TYPES:
        if span < size:
            return array(code, offsets)
    return tuple(offsets)
