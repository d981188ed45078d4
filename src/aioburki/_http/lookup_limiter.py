"""LookupLimiter: bound the number of host names that are being looked up at the same time."""

from __future__ import annotations

import anyio

# `getaddrinfo` runs in a pool of a few threads. Fifty look-ups at once would spend their connect
# timeout waiting for one of those threads. TCP and TLS handshakes need no threads, and are as many
# at once as there are requests in flight.
MAX_LOOKUPS = 4


class LookupLimiter:
    """Count the look-ups for new connections, and wake tasks that wait for a connection.

    A waiting task is woken when a look-up has ended, and when the pool has another reason to
    (`wake`). It then checks for itself whether there is a connection.
    """

    def __init__(self) -> None:
        self._running = 0
        self._waiting = 0
        self._permits = anyio.Semaphore(0)

    @property
    def has_room(self) -> bool:
        """Return whether a new connection may be made, which begins with a look-up."""
        return self._running < MAX_LOOKUPS

    def enter(self) -> None:
        """Record that a connection is made, whose name is to be looked up."""
        self._running += 1

    def leave(self) -> None:
        """Record that its look-up has ended, successfully or not, and wake a waiting task."""
        self._running -= 1
        self.wake()

    def wake(self) -> None:
        """Wake one waiting task, if there is one."""
        if self._waiting:
            self._permits.release()

    async def wait(self) -> None:
        """Wait to be woken. A task that is cancelled after it was woken wakes the next one."""
        self._waiting += 1
        try:
            await self._permits.acquire()
        finally:
            self._waiting -= 1
