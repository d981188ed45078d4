"""Slow start: the requests in flight of a client begin with few and grow with what comes back.

A server's limit is not known before its first 429. Were all requests sent at once, those in flight
would all be refused: more than the burst that the server allows. So few are sent at first, and each
success allows one more, which doubles them with each round trip. The first page of a pull is no
part of it: it is one request, and says how many there are.
"""

from __future__ import annotations

from anyio import Semaphore  # by name: anyio imports late, and the first client would wait for it

# Judgement: as many as a small burst allows; 64 are reached in four round trips.
FIRST_IN_FLIGHT = 4


class SlowStart:
    """Slots for requests in flight. One per client: what was learned is kept for its next pulls.

    A slot is acquired and released, or held as an async context. Waiting requests get slots in the
    order in which they asked; a wait that is cancelled leaves nothing behind.

    Args:
        concurrency: the maximum number of slots, from 1.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._number = min(FIRST_IN_FLIGHT, concurrency)
        self._slots = Semaphore(self._number, fast_acquire=True)
        self._was_full = False  # when the last slot was released

    async def acquire(self) -> None:
        """Wait for a slot."""
        await self._slots.acquire()

    def release(self) -> None:
        """Release a slot."""
        self._was_full = self._slots.value == 0
        self._slots.release()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def record_success(self) -> None:
        """Allow one more request in flight: the one whose slot was released last has succeeded.

        If not all slots were in use more of them would make no difference.
        """
        if self._was_full:
            self._grow_to(self._number + 1)

    def record_refusal(self) -> None:
        """End the slow start: from the first 429 on the measured rate bounds the requests."""
        self._grow_to(self._concurrency)

    def _grow_to(self, number: int) -> None:
        for _ in range(self._number, min(number, self._concurrency)):
            self._number += 1
            self._slots.release()
