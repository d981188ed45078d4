"""Waits: those of all requests with the same options; they end when the server is given up."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .._errors import BurkiError


class ServerGivenUpError(Exception):
    """The wait has ended because the server was given up; never leaves this room.

    Attributes:
        error: a copy of the error of the request that gave it up, for one request to raise.
    """

    def __init__(self, error: BurkiError) -> None:
        super().__init__(error.message)
        self.error = error


class Waits:
    """End all waits for a server at once when one request gives the server up.

    Otherwise each page that waits would find out by trial requests of its own, one page after the
    other, that the server is down. A wait that begins later is not concerned.

    Args:
        max_wait: seconds, the longest wait that the server may cause.

    Attributes:
        given_up: how often the server has been given up.
    """

    def __init__(self, max_wait: float) -> None:
        self.max_wait = max_wait
        self.given_up = 0
        self._running: set[asyncio.Timeout] = set()
        self._error: BurkiError | None = None

    def forget(self) -> None:
        """Forget waits on another event loop, which has ended."""
        self._running = set()

    @property
    def are_running(self) -> bool:
        """Return whether any request waits."""
        return bool(self._running)

    @asynccontextmanager
    async def wait(self) -> AsyncGenerator[None]:
        """Run a block that waits, in a task; cancel it there when the server is given up.

        Raises:
            ServerGivenUpError: the server was given up before the block had ended.
        """
        given_up = self.given_up
        try:
            async with asyncio.timeout(None) as running:
                self._running.add(running)
                try:
                    yield
                finally:
                    self._running.discard(running)
        except TimeoutError:  # the cancellation; otherwise one of the block's own
            if given_up == self.given_up:
                raise
        self.check(given_up)  # also if the block has ended by itself in the same moment

    def end(self, error: BurkiError) -> None:
        """End all waits: the server is given up, for *error*."""
        self.given_up += 1
        self._error = copy.copy(error)
        now = asyncio.get_running_loop().time()
        for running in self._running:
            running.reschedule(now)
        self._running.clear()

    def check(self, given_up: int) -> None:
        """Raise `ServerGivenUpError` if `given_up` is no longer the number that it was."""
        if given_up != self.given_up:
            assert self._error is not None
            raise ServerGivenUpError(copy.copy(self._error))
