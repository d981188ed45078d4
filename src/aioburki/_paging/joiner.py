"""Joiner: pages joined at the frontier one after the other, and probes where a seam is open.

A page that does not join waits, and a probe is sent before anything else. Probes search for the
frontier further left or right until everything before the page that waits has been read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

from .._page import Page, PageWindow
from .counts import Counts
from .frontier import Bounds, Frontier, Join
from .order import OrderCandidates, SortOrder
from .read_page import ReadPage
from .seam import Seam
from .seen_ids import SeenIds
from .windows import WindowPlan

T = TypeVar("T")

# The budget for probes and further sweeps: one request for each page of the list, and so many more.
SPARE_REQUESTS = 40

# After so many pages in a row that contradict the order, the list has another one.
MAX_CONTRADICTIONS = 3

# Maximum number of places that are read once more because the counts do not explain what has
# entered there. If there are more of them, as many items leave the list as enter it.
MAX_CHECKS = 3

Joined = tuple[ReadPage[T], tuple[T, ...]]
"""A page that has joined, and its new items."""


class Joiner(Generic[T]):
    """Join pages in the order in which they were requested, and close the seams between them.

    Args:
        orders: the orders that the list may have, the preferred one first.
        identity: returns the id of an item.
        seen: the ids of the items that were delivered.
        bounds: the part of the list that is read.
        plan: plans probes; its overlap grows with the seams that were open.
        counts: the lengths that the server states.

    Attributes:
        candidates: the orders that all pages so far satisfy.
        frontier: the key up to which everything has been read.
        probes: requests sent to close seams, and to read page 1 once more.
        had_seams: whether a seam has been open.
        is_consecutive: whether the keys of page 1 are consecutive numbers.
        is_exhausted: whether a seam is open and the budget for probes is spent.
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
        self.frontier = Frontier(self.candidates, identity, seen, bounds, counts, plan=plan)
        self._is_part = bounds.after is not None
        self._plan = plan
        self._counts = counts
        self._held: deque[ReadPage[T]] = deque()
        self._left_out: deque[Page[T]] = deque(maxlen=MAX_CONTRADICTIONS)
        self._contradictions = 0  # in a row
        self._seam: Seam[T] | None = None
        self._checks = 0
        self.probes = 0
        self.had_seams = False
        self.is_consecutive = False
        self.is_exhausted = False

    @property
    def is_stuck(self) -> bool:
        """Whether no order is usable, or a seam is open and the budget for probes is spent."""
        return self.candidates.best is None or self.is_exhausted

    @property
    def is_seam_open(self) -> bool:
        """Whether a probe is pending, or is to be sent before anything else."""
        return self._seam is not None

    @property
    def has_held(self) -> bool:
        """Whether pages wait that are not delivered yet."""
        return bool(self._held) or self._seam is not None

    @property
    def has_dropped(self) -> bool:
        """Whether items may have been left out that are unread."""
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
                is_explained = self.frontier.explains(head)
                yield self._advance(head)
                if not is_explained:
                    self._check(head)
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
                request = head.request._replace(is_sequential=False)
                self._open_seam(head.offset, attrs.evolve(head, request=request))

    def join_probe(self, read: ReadPage[T]) -> Iterator[Joined[T]]:
        """Record the page of a probe; if it closes the seam, join the page that waits."""
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
                yield from () if self.is_stuck else self._close(seam)
            case Join.CONTRADICTION:
                seam.contradict(read)
                self._contradict(read)
            case Join.BEYOND:
                seam.go_left(read.offset, read, frontier.key)
            case _:  # it has no items
                seam.go_left(min(read.offset, self._counts.latest), read, None)
        if self._seam is not None and not self._may_search:
            self._stop_search(seam)

    def clear(self) -> None:
        """Forget the pages that wait."""
        self._held.clear()
        self._seam = None

    def drain(self) -> list[Page[T]]:
        """Remove and return the pages that wait or were left out."""
        waiting = [*self._left_out, *(read.page for read in self._held)]
        self.clear()
        return waiting

    @property
    def _has_started(self) -> bool:
        """Whether the start of the part that is read has been found."""
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

    def _check(self, read: ReadPage[T]) -> None:
        """Read the place where *read* begins once more, with items before it and behind it.

        If two items there have equal keys, which the server returns in any order, one of them may
        have come twice, and the other not at all.
        """
        self._checks += 1
        if self._checks <= MAX_CHECKS and self._may_search:
            self._open_seam(read.offset + self._plan.probe_size // 2, None)

    def _close(self, seam: Seam[T]) -> Iterator[Joined[T]]:
        """Close the seam if the frontier has come to the page that waits."""
        if seam.waiting is None:
            self._seam = None
        elif self.frontier.was_read and self.frontier.reaches(seam.waiting):
            self._seam = None
            self._plan.widen(2 * seam.items)
            yield self._advance(seam.waiting)

    def _stop_search(self, seam: Seam[T]) -> None:
        self._seam, self.is_exhausted = None, True
        if seam.waiting is not None:
            self._held.appendleft(seam.waiting)

    def _contradict(self, read: ReadPage[T]) -> None:
        """Leave out *read*, which contradicts the order; drop the order after too many of them."""
        self._left_out.append(read.page)
        self._contradictions += 1
        if self._contradictions >= MAX_CONTRADICTIONS:
            self._contradictions = 0
            self.frontier.disprove(read)
