"""Send queue: which request is sent next, and how many are in flight. One per client."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import NamedTuple

# Requests that are in flight at first. Judgement: as many as a small burst allows; 64 are reached
# in four round trips.
FIRST_IN_FLIGHT = 4


class _Entry(NamedTuple):
    place: int
    number: int  # in the order in which requests came
    is_first: bool
    turn: asyncio.Future[None]


class SendQueue:
    """Give one request after the other its turn to be sent, at most *limit* in flight.

    The request whose turn it is waits for the pacer and the circuit breaker. All others wait here,
    so that a page that was refused overtakes the pages behind it, which were requested ahead of
    time. The pulls of a client take turns, and the first page of a pull is its next. While the
    circuit is open, requests take turns in the order in which they came, so that no page uses up
    its attempts with trial requests alone.

    **Slow start.** A server's limit is not known before its first 429. Were all requests sent at
    once, those in flight would all be refused: more than the burst that the server allows. So
    `FIRST_IN_FLIGHT` are sent at first. Each success allows one more, so that they double with each
    round trip, until the first 429, the first quota header, or *limit*. They are added when a whole
    round trip has succeeded: so the successes that come before the 429 cause half as many requests
    that are refused too. The first page of a pull is no part of it: it is one request, and says how
    many there are.

    Args:
        limit: maximum number of requests in flight, from 1.
        is_open: returns whether the circuit is open.
        max_in_flight: returns how many requests in flight the server allows, or None.
    """

    def __init__(
        self,
        limit: int,
        *,
        is_open: Callable[[], bool] = lambda: False,
        max_in_flight: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._limit = limit
        self._allowed = min(FIRST_IN_FLIGHT, limit)  # without first pages
        self._successes = 0  # since it last grew
        self._in_flight = 0
        self._first_in_flight = 0
        self._is_open = is_open
        self._max_in_flight = max_in_flight
        self._is_taken = False
        self._number = 0
        self._waiting = 0
        self._heaps: dict[object, list[_Entry]] = {}  # by pull; the pull that is next comes first

    @property
    def allowed(self) -> int:
        """Return how many requests the slow start allows in flight, without first pages."""
        return self._allowed

    def has_slot(self, *, is_first: bool = False) -> bool:
        """Return whether fewer requests than allowed are in flight or wait for their turn."""
        return self._waiting < self._free(is_first=is_first)

    async def acquire(self, pull: object, place: int, *, is_first: bool = False) -> None:
        """Wait for the turn; `end_turn` must follow, and `release` at the end of the request.

        Args:
            pull: to which the request belongs.
            place: its place among the requests of the pull; the lowest is the next.
            is_first: whether it is for the first page of the pull.
        """
        if self._free(is_first=is_first) > 0 and not self._waiting and not self._is_taken:
            self._take(is_first=is_first)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        entry = _Entry(place, self._number, is_first, turn)
        heapq.heappush(self._heaps.setdefault(pull, []), entry)
        self._waiting += 1
        self._start_next()  # those that wait may wait for the slow start, and this one not
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting -= 1
                if not self._waiting:
                    self._heaps.clear()  # entries of cancelled requests are left
            else:  # the turn came in the same moment
                self.end_turn()
                self.release(is_first=is_first)
            raise

    def end_turn(self) -> None:
        """Give the next request its turn: this one is sent now, or was cancelled."""
        self._is_taken = False
        self._start_next()

    def release(self, *, is_first: bool = False) -> None:
        """Record that a request is no longer in flight."""
        self._in_flight -= 1
        self._first_in_flight -= is_first
        self._start_next()

    def record_success(self) -> None:
        """Record that a request has succeeded: after a round trip twice as many are allowed."""
        self._successes += 1
        if self._successes >= self._allowed:
            self._allowed = min(self._limit, self._allowed + self._successes)
            self._successes = 0
            self._start_next()

    def end_slow_start(self) -> None:
        """Allow all requests: a 429 measures the server's limit, or its headers state a quota."""
        self._allowed = self._limit
        self._start_next()

    def _free(self, *, is_first: bool) -> int:
        allowed = self._max_in_flight()
        limit = self._limit if allowed is None else min(self._limit, allowed)
        free = limit - self._in_flight
        counted = self._in_flight - self._first_in_flight
        return free if is_first else min(free, self._allowed - counted)

    def _take(self, *, is_first: bool) -> None:
        self._is_taken = True
        self._in_flight += 1
        self._first_in_flight += is_first

    def _start_next(self) -> None:
        while not self._is_taken and (entry := self._pop()) is not None:
            if not entry.turn.done():  # not cancelled
                self._waiting -= 1
                self._take(is_first=entry.is_first)
                entry.turn.set_result(None)

    def _pop(self) -> _Entry | None:
        """Remove and return the next entry; its pull then comes after the others."""
        for pull, place in self._order():
            heap = self._heaps[pull]
            if self._free(is_first=heap[place].is_first) <= 0:
                continue
            del self._heaps[pull]
            entry = heap.pop(place) if place else heapq.heappop(heap)
            if place:
                heapq.heapify(heap)
            if heap:
                self._heaps[pull] = heap
            return entry
        return None

    def _order(self) -> list[tuple[object, int]]:
        """Return pulls and indexes in their heaps, in the order in which they get their turns."""
        if not self._is_open():
            return [(pull, 0) for pull in self._heaps]
        entries = [
            (entry.number, pull, place)
            for pull, heap in self._heaps.items()
            for place, entry in enumerate(heap)
        ]
        return [(pull, place) for _, pull, place in sorted(entries, key=lambda each: each[0])]
