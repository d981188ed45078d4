"""A sandbox whose list moves, answers in any order, and knows which contacts were there throughout.

Pulls of it run on a virtual clock, so that they take no longer than their pages take to be made.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import httpx
from virtual_clock import VirtualLoop

from aioburki import BurkiClient
from aioburki.sandbox import Sandbox

T = TypeVar("T")


class MovingSandbox:
    """Answer from a sandbox, after a delay that is drawn for each request.

    Attributes:
        sandbox: the sandbox.
        lasting: ids of the contacts that each response so far could have had.
    """

    def __init__(
        self, contacts: int, *, seed: int = 0, status: str | None = None, **options: Any
    ) -> None:
        self.sandbox = Sandbox(contacts, seed=seed, **options)
        self.lasting = set(self.sandbox.ids(status))
        self._status = status
        self._draw = random.Random(seed)

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return _DelayedTransport(self)

    def client(self, **options: Any) -> BurkiClient:
        return BurkiClient("any", transport=self.transport, **options)

    async def delay(self) -> None:
        await asyncio.sleep(self._draw.uniform(0.01, 0.1))

    def look(self) -> None:
        """Keep of the lasting contacts those that are in the list now."""
        self.lasting.intersection_update(self.sandbox.ids(self._status))


class _DelayedTransport(httpx.AsyncBaseTransport):
    def __init__(self, moving: MovingSandbox) -> None:
        self._moving = moving
        self._transport = moving.sandbox.transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._moving.delay()
        response = await self._transport.handle_async_request(request)
        self._moving.look()
        return response


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* on an event loop whose clock skips what is slept."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


# At most one contact moves per request of a hundred.
DRIFTS: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "leave": {"leave": 1},
    "delete": {"delete": 1},
    "import": {"import": 1},
    "one out, one in": {"delete": 0.5, "import": 0.5},
    "in and out": {"in_out": 1},
    "all": {"leave": 0.25, "delete": 0.25, "import": 0.5, "in_out": 0.5, "touch": 0.5},
}
