"""Seam: a place between two pages where items may be unread, and the search for them."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from .order import Key, SortOrder
from .read_page import ReadPage

T = TypeVar("T")

# The first probe starts so many pages before the page that waits: most of it lies to the left,
# where the items of the seam have moved to, and the rest overlaps the page that waits.
LOOK_LEFT = 0.75

# Further probes start so many pages before the offset where the frontier is expected.
MARGIN = 0.25


class Seam(Generic[T]):
    """Search for the frontier by offset.

    Where keys are whole numbers, the offset is extrapolated from the keys of the last probe;
    otherwise the search moves left in steps that double. Both stay between the last probe left of
    the frontier and the last one right of it, unless the list has moved past one of them.

    Args:
        offset: where the page that does not join starts.
        size: maximum page size.
        waiting: the page that waits; None if there is none.

    Attributes:
        waiting: the page that waits.
        start: the offset where the next probe starts.
        items: items that the probes have found before the page that waits.
    """

    def __init__(self, offset: int, size: int, waiting: ReadPage[T] | None = None) -> None:
        self._size = size
        self._step = float(size)
        self._margin = MARGIN * size
        self._left: float | None = None  # everything before it was read
        self._right: float | None = None  # nothing behind it was read
        self.waiting = waiting
        self.start = offset - LOOK_LEFT * size
        self.items = 0

    def go_left(self, offset: float, read: ReadPage[T], frontier: Key) -> None:
        """Record that *read*, at *offset*, lies behind the frontier or has no items."""
        step, self._step = self._step, self._step * 2
        expected = _extrapolate(read, frontier)
        start = offset - step if expected is None else min(expected, offset) - self._margin
        self._right = offset
        if self._left is not None and self._left >= offset:
            self._left = None
        self.start = start if self._left is None else max(start, self._left - self._margin)

    def go_right(self, offset: float, read: ReadPage[T], frontier: Key) -> None:
        """Record that everything in *read*, and before *offset*, has been read."""
        self._step = float(self._size)
        expected = _extrapolate(read, frontier)
        start = offset if expected is None else max(offset, expected - self._margin)
        self._left = offset
        if self._right is not None and self._right <= offset:
            self._right = None
        self.start = start if self._right is None else min(start, (offset + self._right) / 2)

    def skip_right(self, offset: float, read: ReadPage[T], key: Key) -> None:
        """Record that all of *read*, and all before *offset*, comes up to *key*.

        Its items are not wanted, so the next probe need not follow *read* without a gap.
        """
        expected = _extrapolate(read, key)
        if expected is None:
            start, self._step = offset + self._step - self._size, self._step * 2
        else:
            start = max(offset, expected - self._margin)
        self._left = offset
        if self._right is not None and self._right <= offset:
            self._right = None
        if self._right is not None:
            is_near = self._right - offset <= self._size
            start = offset if is_near else min(start, (offset + self._right) / 2)
        self.start = start

    def contradict(self, read: ReadPage[T]) -> None:
        """Record that *read*, a probe, contradicts the order."""
        self.start, self._step = read.offset - self._step, self._step * 2

    def count_skipped(self, order: SortOrder[T], read: ReadPage[T], frontier: Key | None) -> None:
        """Count the items of *read* between the frontier and the page that waits."""
        if frontier is not None and self.waiting is not None:
            end = order.first_behind(read.keys, self.waiting.keys[0])
            self.items += max(0, end - order.first_behind(read.keys, frontier))


def _extrapolate(read: ReadPage[Any], key: Key) -> float | None:
    """Return the offset of *key* if keys continue as on *read*; None if that is not known."""
    if len(read.keys) < 2 or not isinstance(key, int):
        return None
    first: int = read.keys[0]
    last: int = read.keys[-1]
    return read.offset + (key - first) / (last - first) * (len(read.keys) - 1)
