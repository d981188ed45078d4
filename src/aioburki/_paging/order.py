"""Order: the key that a list is sorted by, found from its pages and checked on each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from operator import eq, lt, neg
from typing import Any, Generic, TypeVar

import attrs

T = TypeVar("T")

# Keys are consecutive if they fill so much of their span: then neighbouring pages can be joined
# without an overlap.
CONSECUTIVE_SHARE = 0.995

# Of an order by two values: with at least so many pairs of equal first values on a page, the second
# values order them. Were they returned in any order, other pages with as many pairs would break it.
MIN_TIES = 3

Key = Any
"""The place of an item in its list: whatever compares with ``<``, such as an id."""

Column = Callable[[T], Any]
"""Returns the value of an item by which a list is sorted; None if it has none."""


@attrs.frozen
class SortOrder(Generic[T]):
    """An order that a list may have: by one value of its items, or by two.

    Attributes:
        name: the order as text, such as ``"id"`` or ``"-created_at,-id"``; ``-`` means falling.
        columns: return the values that the list is sorted by; the second, if any, is a number and
            orders items whose first values are equal.
        is_falling: whether keys fall from item to item.
        is_mixed: whether the second value falls where the first rises, or rises where it falls.
        is_dense: whether no key lies between two that differ by 1, as with whole numbers.
    """

    name: str
    columns: tuple[Column[T], ...]
    is_falling: bool = False
    is_mixed: bool = False
    is_dense: bool = False

    def keys(self, items: Sequence[T]) -> list[Key] | None:
        """Return the key of each item, or None if one has none."""
        columns = [list(map(column, items)) for column in self.columns]
        return None if None in columns[0] else self.keys_of(columns)

    def is_sorted(self, keys: Sequence[Key]) -> bool:
        """Return whether *keys* are strictly in this order."""
        keys = keys[::-1] if self.is_falling else keys
        return all(map(lt, keys, islice(keys, 1, None)))

    def is_behind(self, key: Key, other: Key) -> bool:
        """Return whether *key* comes after *other* in a list of this order."""
        return bool(key < other if self.is_falling else key > other)

    def is_next(self, key: Key, other: Key) -> bool:
        """Return whether *key* comes after *other* and no key can lie between them."""
        return self.is_dense and bool(key - other == (-1 if self.is_falling else 1))

    def is_consecutive(self, keys: Sequence[Key]) -> bool:
        """Return whether sorted *keys* are whole numbers with next to none missing between them."""
        if not self.is_dense or not keys:
            return False
        return bool(len(keys) >= CONSECUTIVE_SHARE * (abs(keys[-1] - keys[0]) + 1))

    def first_behind(self, keys: Sequence[Key], key: Key) -> int:
        """Return the index of the first of sorted *keys* that comes after *key*."""
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            if self.is_behind(keys[middle], key):
                high = middle
            else:
                low = middle + 1
        return low

    def keys_of(self, columns: Sequence[list[Any]]) -> list[Key]:
        """Return the key of each item whose values are in *columns*, none of them None."""
        first, *others = columns
        if not others:
            return first
        [second] = others
        return list(zip(first, map(neg, second) if self.is_mixed else second, strict=True))


class OrderCandidates(Generic[T]):
    """Hold the orders that all pages so far satisfy, the preferred one first."""

    def __init__(self, orders: Sequence[SortOrder[T]]) -> None:
        self._orders = list(orders)

    @property
    def best(self) -> SortOrder[T] | None:
        """The preferred order, or None if the list has no usable order."""
        return self._orders[0] if self._orders else None

    @property
    def are_dense(self) -> bool:
        """Whether no key lies between two that differ by 1, whichever order the list has."""
        return all(order.is_dense for order in self._orders)

    def check(self, items: Sequence[T]) -> list[Key]:
        """Remove the orders that *items*, a page, break; return their keys in the best one left.

        A page of one item breaks an order only if the item has no key.
        """
        table = _Table(items)
        self._orders = [order for order in self._orders if table.is_sorted(order)]
        return table.keys(self._orders[0]) if self._orders else []

    def may_be_behind(self, item: T, other: T) -> bool:
        """Return whether *item* comes after *other* in an order that is left besides the best."""
        return any(_is_behind(order, item, other) for order in self._orders[1:])

    def tied(self, page: Sequence[T], places: Sequence[int]) -> set[int]:
        """Return those of *places* on *page* whose items may have been left out between two pages.

        An order by two values may be one by the first alone, which returns neighbours with equal
        first values in any order: if a page ends between them, the next may repeat the same one.
        """
        tied: set[int] = set()
        for first in {order.columns[0] for order in self._orders if len(order.columns) > 1}:
            values = list(map(first, page))
            pairs = {place for place in range(1, len(values)) if values[place - 1] == values[place]}
            if len(pairs) < MIN_TIES:
                tied.update(place for place in places if {place, place + 1} & pairs)
        return tied

    def drop_best(self, item: T, other: T) -> None:
        """Remove the best order, and all in which *item* does not come after *other* either."""
        self._orders = [order for order in self._orders[1:] if _is_behind(order, item, other)]

    def drop_all(self) -> None:
        """Remove all orders: an item has changed its key."""
        self._orders.clear()


def _is_behind(order: SortOrder[T], item: T, other: T) -> bool:
    keys = order.keys([item, other])
    return keys is not None and order.is_behind(*keys)


class _Table(Generic[T]):
    """The columns of one page, each of them read and compared once for all orders."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items
        self._columns: dict[Column[T], list[Any]] = {}
        self._sorted: dict[tuple[Column[T], bool], bool] = {}
        self._unique: dict[Column[T], bool] = {}

    def keys(self, order: SortOrder[T]) -> list[Key]:
        return order.keys_of([self._column(column) for column in order.columns])

    def is_sorted(self, order: SortOrder[T]) -> bool:
        """Return whether the page is strictly in *order*, with few comparisons in Python."""
        first, *others = order.columns
        if not self._is_sorted(first, is_falling=order.is_falling):
            return False
        second_falls = order.is_falling != order.is_mixed
        for second in others:
            if self._is_sorted(second, is_falling=second_falls) and self._is_unique(second):
                return True
        return self._is_unique(first) or (bool(others) and order.is_sorted(self.keys(order)))

    def _column(self, column: Column[T]) -> list[Any]:
        if column not in self._columns:
            self._columns[column] = list(map(column, self._items))
        return self._columns[column]

    def _is_sorted(self, column: Column[T], *, is_falling: bool) -> bool:
        """Return whether a column rises or falls, with equal values or not; False with None."""
        if (column, is_falling) not in self._sorted:
            self._sorted[column, is_falling] = _is_sorted(self._column(column), is_falling)
        return self._sorted[column, is_falling]

    def _is_unique(self, column: Column[T]) -> bool:
        """Return whether no two values of a sorted column are equal."""
        if column not in self._unique:
            values = self._column(column)
            self._unique[column] = not any(map(eq, values, islice(values, 1, None)))
        return self._unique[column]


def _is_sorted(values: list[Any], is_falling: bool) -> bool:
    if values[:1] == [None]:
        return False
    try:  # sorting what is sorted already is the fastest comparison there is
        return sorted(values, reverse=is_falling) == values
    except TypeError:  # one of them is None
        return False
