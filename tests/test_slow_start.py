"""The slow start: requests in flight grow from four with what comes back."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from limiters import Bucket
from pages import KEY, page

from aioburki import BurkiClient

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_clock]

LATENCY = 0.1


def now() -> float:
    return asyncio.get_running_loop().time()


class Server:
    """Serve *pages* pages of one contact, each in *LATENCY* seconds; answer 429 at a limit."""

    def __init__(self, pages: int, limiter: Bucket | None = None) -> None:
        asyncio.get_running_loop().set_debug(False)
        self.pages, self.limiter, self.start = pages, limiter, now()
        self.sent: Counter[float] = Counter()
        self.headers: dict[str, str] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent[round((now() - self.start) / LATENCY, 3)] += 1
        await asyncio.sleep(LATENCY)
        if self.limiter is not None and self.limiter.take(now() - self.start) is not None:
            return httpx.Response(429)
        number = int(request.url.params["page"])
        content = page(number, 1, range(self.pages))
        return httpx.Response(200, json=content, headers=self.headers)

    def client(self, concurrency: int = 64) -> BurkiClient:
        transport = httpx.MockTransport(self)
        return BurkiClient(KEY, transport=transport, concurrency=concurrency)


async def test_requests_in_flight_double_with_each_round_trip() -> None:
    """After page 1 there are 4, 8, 16, 32 and then as many as allowed."""
    server = Server(200)
    async with server.client() as burki:
        assert len(await burki.contacts(42, per_page=1)) == 200
    assert server.sent == {0: 1, 1: 4, 2: 8, 3: 16, 4: 32, 5: 64, 6: 64, 7: 11}


async def test_what_was_learned_stays_with_the_client() -> None:
    """The next pull of the client starts with as many as allowed."""
    server = Server(200)
    async with server.client() as burki:
        await burki.contacts(42, per_page=1)
        server.start = now()
        server.sent.clear()
        await burki.contacts(42, per_page=1)
    assert server.sent == {0: 1, 1: 64, 2: 64, 3: 64, 4: 7}


async def test_pull_without_a_limit_takes_three_round_trips_more_at_most() -> None:
    """200 pages at 64 in flight would take five round trips without a slow start."""
    server = Server(200)
    async with server.client() as burki:
        report = (await burki.contacts(42, per_page=1)).report
    assert report.elapsed <= (5 + 3) * LATENCY + 0.01


async def test_first_429_ends_the_slow_start() -> None:
    """From the first 429 on the measured rate alone bounds what is sent."""
    server = Server(400, Bucket(10, 5))
    async with server.client() as burki:
        report = (await burki.contacts(42, per_page=1)).report
    assert report.rate_limited <= 0.03 * 400
    assert report.elapsed <= 400 / 10 / 0.93


async def test_stated_quota_ends_the_slow_start() -> None:
    """A server that says in its headers what it allows is not sounded out."""
    server = Server(200)
    server.headers = {
        "x-ratelimit-limit": "100000",
        "x-ratelimit-remaining": "90000",
        "x-ratelimit-reset": "60",
    }
    async with server.client() as burki:
        await burki.contacts(42, per_page=1)
    assert max(server.sent.values()) > 16
    assert server.sent[1] > 4


async def test_cancelled_wait_for_room_leaves_the_others() -> None:
    """A pull that is cancelled while it waits for its turn does not hold up another one."""
    server = Server(40)
    async with server.client(8) as burki:
        pulls = [asyncio.ensure_future(burki.contacts(42, per_page=1)) for _ in range(2)]
        await asyncio.sleep(1.5 * LATENCY)
        pulls[0].cancel()
        contacts = await pulls[1]
    assert len(contacts) == 40
    assert pulls[0].cancelled()
