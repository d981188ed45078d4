"""Loop binding: which event loop a client is used on, and what happens when that ends."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx

from ._http import holds_connections, standard_transports

# Seconds by which the clocks of two event loops may differ; asyncio's own all have one clock.
MAX_SHIFT = 1.0

ONE_CLIENT_PER_LOOP = (
    "this BurkiClient is in use on another event loop; make one client for each loop"
)


class LoopBinding:
    """The event loop that a client is used on; one at a time.

    An asynchronous generator is kept suspended in each loop. `asyncio.run`, `asyncio.Runner` and
    uvloop close it, and so the idle connections, before they close the loop.

    Args:
        http: the client that sends the requests.
        is_foreign: whether it is the user's: then it is left alone when a loop ends.
    """

    def __init__(self, http: httpx.AsyncClient, *, is_foreign: bool) -> None:
        self._http = http
        self._is_foreign = is_foreign
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guard: AsyncGenerator[None, None] | None = None
        self._seen = self._seen_at = 0.0  # the loop's time and the process's when it was used last

    def enter(self) -> asyncio.AbstractEventLoop | None:
        """Bind to the running loop; return the one before if there was one, else None.

        Raises:
            RuntimeError: the other loop is running, or has left connections of httpx behind, which
                would block requests on this one.
        """
        loop, before = asyncio.get_running_loop(), self._loop
        if loop is before:
            return None
        if before is not None:
            self._check(before)
        self._loop = loop
        if not self._is_foreign:
            self._guard = close_at_end_of_loop(weakref.WeakMethod(self._close_connections))
        return before

    def record_use(self) -> None:
        """Record that the client is used now, so that the next loop's clock can be compared."""
        self._seen, self._seen_at = asyncio.get_running_loop().time(), time.monotonic()

    @property
    def is_clock_continued(self) -> bool:
        """Return whether the running loop's time continues that of the loop before."""
        passed = asyncio.get_running_loop().time() - self._seen
        return abs(passed - (time.monotonic() - self._seen_at)) <= MAX_SHIFT

    async def aclose(self) -> None:
        """End the generator of the running loop."""
        if self._guard is not None and self._loop is asyncio.get_running_loop():
            guard, self._guard = self._guard, None  # a generator refuses a second call meanwhile
            await guard.aclose()

    def _check(self, before: asyncio.AbstractEventLoop) -> None:
        if before.is_running():
            raise RuntimeError(ONE_CLIENT_PER_LOOP)
        if holds_connections(self._http):
            whose = "http_client" if self._is_foreign else "transport"
            raise RuntimeError(
                f"the {whose} of this BurkiClient holds connections of an event loop that has "
                "ended, which cannot be used on this one: make one client for each loop, such as "
                "a new httpx.AsyncClient and a new BurkiClient in each asyncio.run"
            )

    async def _close_connections(self) -> None:
        for transport in standard_transports(self._http):
            await transport.aclose()


def close_at_end_of_loop(
    close: Callable[[], Callable[[], Awaitable[None]] | None],
) -> AsyncGenerator[None, None]:
    """Return a generator at whose end, or that of the running loop, what *close* returns is called.

    *close* is a weak reference: nothing is called if it returns None.
    """
    guard = _at_end_of_loop(close)
    _start(guard)
    return guard


async def _at_end_of_loop(
    close: Callable[[], Callable[[], Awaitable[None]] | None],
) -> AsyncGenerator[None, None]:
    """Wait for the end of the loop, and then call what *close* returns, if it is still there."""
    try:
        yield
    finally:
        if (alive := close()) is not None:
            await alive()


def _start(generator: AsyncGenerator[None, None]) -> None:
    """Run *generator* up to its first ``yield``, where the loop learns of it."""
    next(generator.__anext__().__await__(), None)  # no wait comes before the `yield`
