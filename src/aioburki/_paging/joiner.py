"""Joiner: pages joined at the frontier one behind the other, and the search where one is missing.

A page that does not join waits, and a probe is sent before anything else. Probes look for the
frontier further left or right until everything before the page that waits has been read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

from .._page import Page, PageWindow
from .counts import Counts
from .frontier import Bounds, Frontier, Join, ReadPage
from .order import OrderCandidates, SortOrder
from .seam import Seam
from .seen_ids import SeenIds
from .windows import WindowPlan

T = TypeVar("T")

# Requests for probes and further sweeps, beside as many as the list has pages.
SPARE_REQUESTS = 40

# Pages in a row that contradict the order, and the list has another one.
MAX_CONTRADICTIONS = 3

Joined = tuple[ReadPage[T], tuple[T, ...]]
"""A page that has joined, and what is new on it."""


class Joiner(Generic[T]):
    """Join pages in the order in which they were asked for, and close the seams between them.

    Args:
        orders: the orders that the list may have, the preferred one first.
        identity: returns the id of an item.
        seen: the ids that were delivered.
        bounds: the part of the list that is read.
        plan: plans probes, and learns from seams how far windows must overlap.
        counts: what the server counts.

    Attributes:
        candidates: the orders that all pages so far satisfy.
        frontier: the key up to which everything has been read.
        probes: requests sent to close seams, and to read page 1 once more.
        had_seams: whether a page did not join the one before.
        is_consecutive: whether the keys of page 1 leave no room for others between them.
        is_exhausted: whether a seam is open and no more probes may be sent.
    """

    def __init__(
        self,
        orders: Sequence[SortOrder[T]],
        identity: Callable[[T], int],
        seen: SeenIds,
        *,
        bounds: Bounds,
        plan: WindowPlan,
        counts: Counts,
    ) -> None:
        self.candidates = OrderCandidates(orders)
        self.frontier = Frontier(self.candidates, identity, seen, bounds, counts)
        self._is_part = bounds.after is not None
        self._plan = plan
        self._counts = counts
        self._held: deque[ReadPage[T]] = deque()
        self._left_out: deque[Page[T]] = deque(maxlen=MAX_CONTRADICTIONS)
        self._contradictions = 0  # in a row
        self._seam: Seam[T] | None = None
        self.probes = 0
        self.had_seams = False
        self.is_consecutive = False
        self.is_exhausted = False

    @property
    def is_stuck(self) -> bool:
        """Whether there is no order to go by, or a seam is open that may not be searched."""
        return self.candidates.best is None or self.is_exhausted

    @property
    def is_seam_open(self) -> bool:
        """Whether a probe is to be sent before anything else, or is pending."""
        return self._seam is not None

    @property
    def has_held(self) -> bool:
        """Whether pages have come that are not delivered yet."""
        return bool(self._held) or self._seam is not None

    @property
    def has_dropped(self) -> bool:
        """Whether items may have been left out that were not delivered."""
        return bool(self._left_out) or self.frontier.has_dropped

    @property
    def budget(self) -> int:
        """How many requests may still be sent to close seams, or to read the list again."""
        items = max(self._counts.first, self._counts.latest)
        return max(0, -(-items // self._plan.size) + SPARE_REQUESTS - self.probes)

    def next_probe(self) -> PageWindow | None:
        """Return the probe to send before anything else, if a seam is open."""
        if self._seam is None or self.is_stuck:
            return None
        self.probes += 1
        return self._plan.probe(self._seam.start)

    def hold(self, read: ReadPage[T]) -> None:
        """Record the next page in order."""
        self._held.append(read)

    def join_held(self) -> Iterator[Joined[T]]:
        """Join the pages that came in order, up to the first that does not join."""
        while self._held and self._seam is None and not self.is_stuck:
            head = self._held.popleft()
            join = self.frontier.join(head)
            if join is Join.JOINED:
                yield self._advance(head)
                if not self._has_started:
                    self._seam = Seam(head.offset, self._plan.probe_size)
                    self._seam.skip_right(head.end, head, self.frontier.key)
            elif not self._has_started and self._may_search:
                self._seam = Seam(head.offset, self._plan.probe_size)
                self._seam.go_left(head.offset, head, self.frontier.key)
            elif not self._may_search:
                self._held.appendleft(head)
                self.is_exhausted = True
            elif join is Join.CONTRADICTION:
                self._contradict(head)
                self._open_seam(head.offset, None)
            else:
                # The probes are read later than the page that waits.
                self._open_seam(head.offset, attrs.evolve(head, is_sequential=False))

    def join_probe(self, read: ReadPage[T]) -> Iterator[Joined[T]]:
        """Use the page of a probe, and join the page that waits if the seam is closed by it."""
        seam, order = self._seam, self.candidates.best
        assert seam is not None
        assert order is not None
        frontier = self.frontier
        match frontier.join(read):
            case Join.JOINED if not self._has_started:
                yield self._advance(read)
                if self._has_started:
                    self._seam, self._plan.end = None, frontier.offset
                else:
                    seam.skip_right(read.end, read, frontier.key)
            case Join.JOINED:
                seam.count_skipped(order, read, frontier.key)
                yield self._advance(read)
                seam.go_right(read.end - self._plan.overlap, read, frontier.key)
                if self._seam is not None and not self.is_stuck:
                    yield from self._close(seam)
            case Join.CONTRADICTION:
                seam.contradict(read)
                self._contradict(read)
            case Join.BEYOND:
                seam.go_left(read.offset, read, frontier.key)
            case Join.EMPTY:
                seam.go_left(min(read.offset, self._counts.latest), read, None)
        if self._seam is not None and not self._may_search:
            self._stop_search(seam)

    def clear(self) -> None:
        """Forget the pages that wait."""
        self._held.clear()
        self._seam = None

    def drain(self) -> list[Page[T]]:
        """Return the pages that wait or were left out, once the list has no usable order."""
        waiting = [*self._left_out, *(read.page for read in self._held)]
        self.clear()
        return waiting

    @property
    def _has_started(self) -> bool:
        """Whether the start of the part of the list that is read has been found."""
        return not self._is_part or self.frontier.was_read

    @property
    def _may_search(self) -> bool:
        return self.budget > 0 and (self.is_consecutive or self._plan.can_overlap)

    def _advance(self, read: ReadPage[T]) -> Joined[T]:
        items = self.frontier.advance(read)
        if items:
            self._contradictions = 0
        return read, items

    def _open_seam(self, offset: int, waiting: ReadPage[T] | None) -> None:
        self.had_seams = True
        self._plan.widen(0)
        self._seam = Seam(offset, self._plan.probe_size, waiting)

    def _close(self, seam: Seam[T]) -> Iterator[Joined[T]]:
        """Close the seam, if a page that has just joined reaches the page that waits."""
        if seam.waiting is None:
            self._seam = None
        elif self.frontier.reaches(seam.waiting):
            self._seam = None
            self._plan.widen(2 * seam.items)
            yield self._advance(seam.waiting)

    def _stop_search(self, seam: Seam[T]) -> None:
        self._seam, self.is_exhausted = None, True
        if seam.waiting is not None:
            self._held.appendleft(seam.waiting)

    def _contradict(self, read: ReadPage[T]) -> None:
        """Record that *read* contradicts the order; too many in a row disprove it."""
        self._left_out.append(read.page)
        self._contradictions += 1
        if self._contradictions >= MAX_CONTRADICTIONS:
            self._contradictions = 0
            self.frontier.disprove(read)
