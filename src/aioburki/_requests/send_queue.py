"""Send queue: which request is sent next, and how many are in flight. One per client."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

# Its place, a number in the order in which requests came, and what to set when it has its turn.
_Entry = tuple[int, int, asyncio.Future[None]]


class SendQueue:
    """Give one request after the other its turn to be sent, at most *limit* in flight.

    The request whose turn it is waits for the pacer and the circuit breaker. All others wait here,
    so that a page that was refused overtakes the pages behind it, which were requested ahead of
    time. The pulls of a client take turns, and the first page of a pull is its next. While the
    circuit is open, requests take turns in the order in which they came, so that no page uses up
    its attempts with trial requests alone.

    Args:
        limit: maximum number of requests in flight, from 1.
        is_open: returns whether the circuit is open.
    """

    def __init__(self, limit: int, is_open: Callable[[], bool] = lambda: False) -> None:
        self._free = limit
        self._is_open = is_open
        self._is_taken = False
        self._number = 0
        self._waiting = 0
        self._heaps: dict[object, list[_Entry]] = {}  # by pull; the pull that is next comes first

    @property
    def has_slot(self) -> bool:
        """Return whether fewer requests than the limit are in flight or wait for their turn."""
        return self._waiting < self._free

    async def acquire(self, pull: object, place: int) -> None:
        """Wait for the turn; `end_turn` must follow, and `release` at the end of the request.

        Args:
            pull: to which the request belongs.
            place: its place among the requests of the pull; the lowest is the next.
        """
        if self._free and not self._waiting and not self._is_taken:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        heapq.heappush(self._heaps.setdefault(pull, []), (place, self._number, turn))
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting -= 1
                if not self._waiting:
                    self._heaps.clear()  # entries of cancelled requests are left
            else:  # the turn came in the same moment
                self.end_turn()
                self.release()
            raise

    def end_turn(self) -> None:
        """Give the next request its turn: this one is sent now, or was cancelled."""
        self._is_taken = False
        self._start_next()

    def release(self) -> None:
        """Record that a request is no longer in flight."""
        self._free += 1
        self._start_next()

    def _take(self) -> None:
        self._is_taken = True
        self._free -= 1

    def _start_next(self) -> None:
        while self._heaps and self._free and not self._is_taken:
            _, _, turn = self._pop()
            if not turn.done():  # not cancelled
                self._waiting -= 1
                self._take()
                turn.set_result(None)

    def _pop(self) -> _Entry:
        """Remove and return the next entry; its pull then comes after the others."""
        if self._is_open():
            waiting = ((entry, pull) for pull, heap in self._heaps.items() for entry in heap)
            entry, pull = min(waiting, key=lambda pair: pair[0][1])
            heap = self._heaps.pop(pull)
            heap.remove(entry)
            heapq.heapify(heap)
        else:
            pull = next(iter(self._heaps))
            heap = self._heaps.pop(pull)
            entry = heapq.heappop(heap)
        if heap:
            self._heaps[pull] = heap
        return entry
