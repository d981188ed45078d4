"""Seen ids: the ids that a pull has delivered, so that none is delivered twice.

A set of a million ids takes 80 MB. Ids in ascending or descending order, with or without gaps, are
stored as one block for each page: a bit for each number from the page's first id to its last or, if
the ids are further apart, offsets in the smallest array type that can hold them. That is one bit to
eight bytes for each id. Only ids that are out of order are stored in a set.

All blocks share one buffer. A small object for each page, allocated between the bodies of
responses, would fragment the heap, so that the memory of the bodies could not be returned to the
system.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice
from operator import lt

# Bits for each id up to which a block has a bit for each number: two-byte offsets take as many.
MAX_BITS = 16

_ONE = ord("1")

# Bytes of an offset, and the type code of `array` for them.
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_BITS = 0


class SeenIds:
    """Set of ids, exact for any order of ids and small if they are ordered."""

    def __init__(self) -> None:
        self._sign = 0  # 1: ascending, -1: descending, 0: not known yet
        self._last: int | None = None
        self._loose: set[int] = set()
        self._forget_blocks()

    def _forget_blocks(self) -> None:
        self._ends: list[int] = []  # the last id of each block
        self._widths = bytearray()  # bytes of its offsets, or _BITS
        self._starts = array("Q", (0,))  # its offset in the buffer; then the end of the buffer
        self._buffer = bytearray()

    def add(self, ids: Sequence[int]) -> list[bool]:
        """Record *ids*; return for each whether it is new."""
        if not ids:
            return []
        if not self._sign:
            self._find_direction(ids)
        keys = [-number for number in ids] if self._sign < 0 else ids
        if self._continues(keys):
            self._append(keys)
            return [True] * len(keys)
        return self._add_each(keys)

    def holds(self, number: int) -> bool:
        """Return whether the id *number* has been added."""
        key = -number if self._sign < 0 else number
        return key in self._loose or self._in_blocks(key)

    def _find_direction(self, ids: Sequence[int]) -> None:
        first = ids[0] if self._last is None else self._last
        other = next((number for number in reversed(ids) if number != first), first)
        self._sign = (other > first) - (other < first)
        if self._sign < 0 and self._last is not None:
            self._forget_blocks()
            self._append([-first])

    def _continues(self, keys: Sequence[int]) -> bool:
        if self._last is not None and keys[0] <= self._last:
            return False
        return all(map(lt, keys, islice(keys, 1, None)))

    def _append(self, keys: Sequence[int]) -> None:
        self._last = keys[-1]
        span = self._last - keys[0]
        if span < MAX_BITS * len(keys):
            self._append_block(_BITS, _bits(keys))
            return
        for width, code in _CODES.items():
            if span < 1 << 8 * width:
                self._append_block(width, _offsets(keys, code))
                return
        self._loose.update(keys)

    def _append_block(self, width: int, block: bytes) -> None:
        assert self._last is not None
        self._ends.append(self._last)
        self._widths.append(width)
        self._buffer += block
        self._starts.append(len(self._buffer))

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
        index = bisect_left(self._ends, key)
        if index == len(self._ends):
            return False
        offset = self._ends[index] - key
        block = self._buffer[self._starts[index] : self._starts[index + 1]]
        if (width := self._widths[index]) == _BITS:
            byte, bit = divmod(offset, 8)
            return byte < len(block) and bool(block[byte] >> bit & 1)
        return _holds(array(_CODES[width], bytes(block)), offset)


def _holds(rising: Sequence[int], value: int) -> bool:
    place = bisect_left(rising, value)
    return place < len(rising) and rising[place] == value


def _bits(keys: Sequence[int]) -> bytes:
    """Return a bit for each number from the last key (the lowest bit) down to the first."""
    first = keys[0]
    digits = bytearray(b"0") * (keys[-1] - first + 1)
    for key in keys:
        digits[key - first] = _ONE
    return int(digits, 2).to_bytes(-(-len(digits) // 8), "little")


def _offsets(keys: Sequence[int], code: str) -> bytes:
    """Return the distance of each key from the last one, in ascending order."""
    last = keys[-1]
    return array(code, [last - key for key in reversed(keys)]).tobytes()
