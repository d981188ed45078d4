"""Frontier: the key up to which everything has been read, and how pages join it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, TypeVar

import attrs

from .counts import TURNOVER_DIVISOR, Counts
from .order import Key, OrderCandidates, SortOrder
from .read_keys import ReadKeys
from .read_page import ReadPage
from .seen_ids import SeenIds
from .windows import WindowPlan

T = TypeVar("T")


class Join(Enum):
    """Where a page lies, compared with the frontier."""

    JOINED = "it overlaps what was read, or is its neighbour, or is the head of the list"
    BEYOND = "all of it lies behind the frontier, and items may lie between"
    CONTRADICTION = "items that were read lie within its keys and are not on it"
    EMPTY = "it has no items"


@attrs.frozen
class Bounds:
    """A part of a list: keys behind *after*, up to and including *until*; None for no bound.

    *offset* is the offset behind *after* where it was last seen, *end* that behind *until*; 0 for
    unknown.
    """

    after: Key | None = None
    until: Key | None = None
    offset: int = 0
    end: int = 0


class Frontier(Generic[T]):
    """Join pages in the order of their keys, and return what is new on them.

    Args:
        candidates: the orders that all pages so far satisfy.
        identity: returns the id of an item.
        seen: the ids of the items that were delivered.
        bounds: the part of the list that is read.
        counts: the lengths that the server states.

    Attributes:
        key: the last key up to which everything has been read; None before the first page.
        offset: the offset behind the item with that key, where it was last seen.
        delivered: how many items were new.
        has_reached_until: whether a page has gone beyond the part of the list.
        has_dropped: whether a page had unread items before the frontier.
        has_shifted: whether a page shared more or fewer items with the one before than planned.
        is_prefix: whether the items delivered are the first of the list, in its order.
    """

    def __init__(
        self,
        candidates: OrderCandidates[T],
        identity: Callable[[T], int],
        seen: SeenIds,
        bounds: Bounds,
        counts: Counts,
        *,
        plan: WindowPlan,
    ) -> None:
        self._candidates = candidates
        self._identity = identity
        self._seen = seen
        self._counts = counts
        self._plan = plan
        self._after = bounds.after
        self._is_whole = bounds.after is None
        self._until = bounds.until
        self._read = ReadKeys()
        self._item: T | None = None  # the item with the key, if it was read here
        self._may_repeat = False
        self._latest = 0  # number of the latest request whose page has joined
        # Items that were delivered out of order, and the frontier at that time.
        self._late: dict[int, Key] = {}
        self.is_prefix = True
        self.key: Key | None = bounds.after
        self.offset = bounds.offset
        self.delivered = 0
        self.has_reached_until = False
        self.has_dropped = False
        self.has_shifted = False

    @property
    def was_read(self) -> bool:
        """Whether the frontier was read here, and is not where a range begins."""
        return not self._read.is_empty

    def restart(self) -> None:
        """Begin again at the start of the list, with items that were delivered before."""
        self.key = self._item = None
        self.offset = 0
        self._read = ReadKeys()
        self._may_repeat = True
        self.is_prefix = False

    def join(self, read: ReadPage[T]) -> Join:
        """Return where *read* lies, compared with the frontier."""
        if not read.keys and read.offset > 0:
            return Join.EMPTY
        if self.key is None:
            return Join.JOINED if read.offset == 0 else Join.BEYOND
        order = self._order
        old = order.first_behind(read.keys, self.key)
        if old == 0 and read.offset > 0:
            return Join.JOINED if self._is_next(read.keys[0]) else Join.BEYOND
        is_compared = read.is_last or old == len(read.keys)
        if not self._may_have_entered(read) or (is_compared and not self._holds_read(read)):
            return Join.CONTRADICTION
        if self._read.is_empty or read.offset == 0:
            return Join.JOINED
        # Items before the first one that was read have entered at the head.
        known = read.page.items[self._read.place_of_first(order, read.keys) : old]
        return Join.JOINED if not known or self._shares(known) else Join.CONTRADICTION

    def reaches(self, read: ReadPage[T]) -> bool:
        """Return whether the frontier has come to *read*, which lay beyond it."""
        first = read.keys[0]
        return self._is_next(first) or not self._order.is_behind(first, self.key)

    def fits(self, read: ReadPage[T]) -> bool:
        """Return whether *read*, page 1 or the end, agrees with the pages before it.

        If it does not, keys of items have changed.
        """
        return self._may_have_entered(read) and self._holds_read(read) and self._holds_part(read)

    def _holds_read(self, read: ReadPage[T]) -> bool:
        """Return whether the counts explain the items that *read* lacks.

        A page holds all that is in the list between its first key and its last: before its first,
        too, if it is the head of the list, and after its last, if it is short. What was read there
        and is not on the page must have left.
        """
        if not read.keys or self.key is None:
            return True
        order = self._order
        old = order.first_behind(read.keys, self.key)
        first = None if read.offset == 0 else read.keys[0]
        last = None if read.is_short else read.keys[-1]
        vanished = self._read.count(order, first, last) - old
        return vanished <= old // TURNOVER_DIVISOR + self._counts.have_left(self.delivered)

    def _holds_part(self, read: ReadPage[T]) -> bool:
        """Return whether most items of the part that are on *read*, page 1, have been read.

        If not, items have moved to the head of the list, and more of them may be unread.
        """
        if self._is_whole:
            return True
        order, keys, until = self._order, read.keys, self._until
        end = len(keys) if until is None else order.first_behind(keys, until)
        items = read.page.items[order.first_behind(keys, self._after) : end]
        unread = len(items) - sum(map(self._holds, items))
        return unread <= len(items) // TURNOVER_DIVISOR + self._counts.growth

    def _may_have_entered(self, read: ReadPage[T]) -> bool:
        """Return whether the counts explain the unread items before the frontier.

        Of a page that lies there as a whole, three quarters must have been read.
        """
        if not self._is_whole or self.key is None:
            return True
        counts, length = self._counts, len(read.keys)
        old = self._order.first_behind(read.keys, self.key)
        allowed = counts.growth + (length if old == length else counts.first) // TURNOVER_DIVISOR
        return read.offset + old - self._read.total <= allowed

    def explains(self, read: ReadPage[T]) -> bool:
        """Return whether the counts explain the items that have entered before *read*."""
        if self._read.is_empty or read.offset == 0:
            return True
        old = self._order.first_behind(read.keys, self.key)
        return read.offset + old - self.offset <= self._counts.growth

    def advance(self, read: ReadPage[T]) -> tuple[T, ...]:
        """Move the frontier to the end of a joined page; return what is new on it."""
        order = self._order
        old, end = 0, len(read.keys)
        ambiguous: Sequence[T] = ()
        if self.key is not None:
            old = order.first_behind(read.keys, self.key)
            self.has_shifted |= read.offset + old != self.offset
            ambiguous = self._ambiguous(read, old)
        self._latest = max(self._latest, read.request.number)
        if self._until is not None:
            end = order.first_behind(read.keys, self._until)
            self.has_reached_until = end < len(read.keys)
        self.offset = read.offset + old
        items = read.page.items[old:end]
        if items:
            self.key, self.offset, self._item = read.keys[end - 1], read.offset + end, items[-1]
            self._read.add(read.keys[old:end])
        if ambiguous or order.columns != (self._identity,):
            new = self.take([*ambiguous, *items])
        else:
            new = self.take(items, read.keys[old:end])
        if len(new) < len(ambiguous) + len(items) and not self._may_repeat:
            self._candidates.drop_all()  # an item was delivered under another key
        return new

    def key_behind(self, item: T) -> Key | None:
        """Return the frontier when *item* was delivered; None if the item has no key."""
        number = self._identity(item)
        keys = [self._late[number]] if number in self._late else self._order.keys([item])
        return None if keys is None else keys[0]

    def disprove(self, read: ReadPage[T]) -> None:
        """Remove the orders in which *read* lies as a whole before the frontier."""
        assert self._item is not None
        self._candidates.drop_best(read.page.items[-1], self._item)

    def _ambiguous(self, read: ReadPage[T], old: int) -> Sequence[T]:
        """Return the unread items of the first *old* on *read* that may come after the frontier.

        While more than one order is left, the best one may be wrong. What a page shows may have
        left the list before a page that was requested later, a probe, was read.
        """
        last = self._item
        if last is None or not (self.has_shifted or self._counts.have_moved):
            return ()
        page, candidates = read.page.items, self._candidates
        first = 0 if self._is_whole else self._order.first_behind(read.keys, self._after)
        unread = [place for place in range(first, old) if not self._holds(page[place])]
        self.has_dropped |= bool(unread)
        places = [place for place in unread if candidates.may_be_behind(page[place], last)]
        self.is_prefix &= not places
        if read.request.number > self._latest and not self._counts.growth:
            tied = candidates.tied(page, unread)
            self._late |= {self._identity(page[place]): self.key for place in tied}
            places = sorted({*places, *tied})
        return [page[place] for place in places]

    def take(self, items: Sequence[T], ids: Sequence[int] | None = None) -> tuple[T, ...]:
        """Record *items* as delivered; return those that were not delivered before.

        Args:
            items: the items.
            ids: their ids; None to read them from the items.
        """
        flags = self._seen.add(list(map(self._identity, items)) if ids is None else ids)
        new = tuple(items)
        if False in flags:
            new = tuple(item for item, is_new in zip(items, flags, strict=True) if is_new)
        self.delivered += len(new)
        return new

    def _is_next(self, key: Key) -> bool:
        """Return whether no item can lie between the frontier and *key*.

        Where the list has moved and may be in another order, in which keys are not whole numbers,
        an item may; then only pages that cannot share items are joined by such keys.
        """
        has_one_order = self._candidates.are_dense or not self._counts.have_moved
        is_certain = has_one_order or not self._plan.can_overlap
        return is_certain and self._order.is_next(key, self.key)

    @property
    def _order(self) -> SortOrder[T]:
        order = self._candidates.best
        assert order is not None
        return order

    def _shares(self, items: Sequence[T]) -> bool:
        return any(map(self._holds, items))

    def _holds(self, item: T) -> bool:
        return self._seen.holds(self._identity(item))
