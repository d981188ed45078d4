"""ConnectLimiter: bound the number of connections that are being opened at the same time."""

from __future__ import annotations

import anyio

# `getaddrinfo` runs in a pool of a few threads. Fifty connections opened at once would spend their
# connect timeout waiting for one of those threads.
MAX_CONNECTS = 4


class ConnectLimiter:
    """Count the connections being opened, and wake tasks that wait for a connection.

    A waiting task is woken when a connection has been opened or has failed to, and when the pool
    has another reason to (`wake`). It then checks for itself whether there is a connection.
    """

    def __init__(self) -> None:
        self._opening = 0
        self._waiting = 0
        self._permits = anyio.Semaphore(0)

    @property
    def has_room(self) -> bool:
        """Return whether another connection may be opened now."""
        return self._opening < MAX_CONNECTS

    def enter(self) -> None:
        """Record that a connection is being opened."""
        self._opening += 1

    def leave(self) -> None:
        """Record that this has ended, successfully or not, and wake a waiting task."""
        self._opening -= 1
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
