"""Ramp: how many connections are being opened at once, and who waits for that."""

from __future__ import annotations

import anyio

# Names are looked up by a handful of threads: fifty connections opened at once would spend
# their time for connecting in that queue.
MAX_CONNECTS = 4


class ConnectLimiter:
    """Bound how many connections are being opened, and wake whoever waits for a lane."""

    def __init__(self) -> None:
        self._opening = 0
        self._waiting = 0
        self._calls = anyio.Semaphore(0)

    @property
    def has_room(self) -> bool:
        """Tell whether another connection may be opened."""
        return self._opening < MAX_CONNECTS

    def enter(self) -> None:
        """Begin to open a connection."""
        self._opening += 1

    def leave(self) -> None:
        """End it, however it ended, and wake somebody."""
        self._opening -= 1
        self.wake()

    def wake(self) -> None:
        """Wake one of those who wait."""
        if self._waiting:
            self._calls.release()

    async def wait(self) -> None:
        """Wait to be woken."""
        self._waiting += 1
        try:
            await self._calls.acquire()  # one that is cancelled when called calls the next
        finally:
            self._waiting -= 1
