"""Outages: few probes while nothing answers, everything afterwards, an end if there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from pages import KEY, page

from aioburki import (
    BurkiClient,
    ConnectionFailedError,
    RequestTimeoutError,
    RetryScheduled,
    ServerError,
    TransportError,
)
from aioburki._throttle.circuit_breaker import CircuitBreaker

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.virtual_clock]

PAGES = 2000
LATENCY = 0.1


def now() -> float:
    return asyncio.get_running_loop().time()


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def break_off(_: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


def unavailable(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503, html="<h1>down</h1>")


class Server:
    """Serve pages of one contact, but for the time between *down* and *up*."""

    def __init__(
        self, down: float, up: float, fail: Callable[[httpx.Request], httpx.Response]
    ) -> None:
        asyncio.get_running_loop().set_debug(False)  # it takes most of the time of 2,000 pages
        self.start = now()
        self.down, self.up, self.fail = down, up, fail
        self.times: list[float] = []
        self.answered: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = now() - self.start
        self.times.append(asked)
        await asyncio.sleep(LATENCY)
        if self.down <= asked < self.up:
            return self.fail(request)
        self.answered.append(now() - self.start)
        return httpx.Response(200, json=page(int(request.url.params["page"]), 1, range(PAGES)))

    def asked_between(self, since: float, until: float) -> int:
        return sum(since <= time < until for time in self.times)


@pytest.mark.parametrize("fail", [refuse, break_off, unavailable])
@pytest.mark.parametrize("concurrency", [1, 8, 50])
async def test_a_minute_without_the_server_costs_a_minute(
    fail: Callable[[httpx.Request], httpx.Response], concurrency: int
) -> None:
    """After 60 s all contacts come, each once; meanwhile 12 probes; full speed within 10 s."""
    server = Server(1, 61, fail)
    async with BurkiClient(
        KEY, concurrency=concurrency, transport=httpx.MockTransport(server)
    ) as burki:
        contacts = await burki.contacts(42, per_page=1)
    assert [contact.id for contact in contacts] == list(range(PAGES))
    under_way = concurrency + 2  # those which the outage met, and what failed before it was one
    assert server.asked_between(1, 61) <= under_way + 12
    back = min(time for time in server.answered if time > 61)
    assert back <= 71
    assert server.asked_between(back, back + 1) >= 0.8 * concurrency / LATENCY
    assert contacts.report.requests == len(server.times)


@pytest.mark.parametrize(
    ("fail", "kind"), [(refuse, ConnectionFailedError), (unavailable, ServerError)]
)
async def test_an_outage_that_lasts_is_given_up(
    fail: Callable[[httpx.Request], httpx.Response], kind: type[TransportError | ServerError]
) -> None:
    """After a minute and more the pull fails with what happened; retries stay below 20 %."""
    server = Server(1, 1e9, fail)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(kind, match=r"the server is down: \d+ requests failed in \d+ s") as got:
            await burki.contacts(42, per_page=1)
    assert got.value.attempts is not None
    assert got.value.attempts <= 6
    assert 61 <= now() - server.start <= 100
    after = len(server.times) - server.asked_between(0, 1)
    assert after - 8 <= 0.2 * len(server.times)


async def test_the_next_pull_after_an_outage_starts_afresh() -> None:
    """What was given up is forgotten: another pull fails by its own count, or succeeds."""
    server = Server(1, 1e9, refuse)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(ConnectionFailedError):
            await burki.contacts(42, per_page=1)
        server.up = 0
        start = now()
        assert len(await burki.contacts(42, per_page=1)) == PAGES
        assert now() - start <= PAGES * LATENCY / 8 + 1


async def test_one_page_that_fails_is_no_outage() -> None:
    """A page that always fails ends the pull by its own attempts, while others go on."""
    asked: list[int] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        asked.append(number)
        await asyncio.sleep(LATENCY)
        if number == 7:
            return httpx.Response(500)
        return httpx.Response(200, json=page(number, 1, range(PAGES)))

    async with BurkiClient(KEY, attempts=3, transport=httpx.MockTransport(answer)) as burki:
        with pytest.raises(ServerError) as caught:
            await burki.contacts(42, per_page=1)
    assert caught.value.page == 7
    assert asked.count(7) == caught.value.attempts == 3
    assert len(asked) >= 20


async def test_the_first_page_alone_has_its_attempts() -> None:
    """A server that is down from the start is given up after `attempts`, as one page is."""
    server = Server(0, 1e9, refuse)
    async with BurkiClient(KEY, attempts=4, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(ConnectionFailedError) as caught:
            await burki.contacts(42)
    assert len(server.times) == caught.value.attempts == 4
    assert now() - server.start <= 5


async def test_events_tell_when_the_next_probe_goes() -> None:
    """The delay of a retry during an outage is that of the probe, not of the page."""
    server = Server(1, 61, refuse)
    delays: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, RetryScheduled):
            delays.append(event.delay)

    async with BurkiClient(KEY, transport=httpx.MockTransport(server), on_event=listen) as burki:
        await burki.contacts(42, per_page=1)
    assert 8 <= max(delays) <= 9


async def test_a_retry_after_holds_the_next_probe_back() -> None:
    """A maintenance page that names its end is not asked before."""

    def maintenance(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503, headers={"retry-after": "30"})

    server = Server(1, 61, maintenance)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        assert len(await burki.contacts(42, per_page=1)) == PAGES
    assert server.asked_between(2, 61) <= 2


async def test_a_cancelled_probe_leaves_its_turn_to_the_next() -> None:
    """A pull that is cancelled while it probes does not hold up the others."""
    server = Server(1, 20, refuse)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        pulls = [asyncio.ensure_future(collect(burki)) for _ in range(2)]
        await asyncio.sleep(15)
        pulls[0].cancel()
        assert await pulls[1] == PAGES
        assert now() - server.start <= 60


async def collect(burki: BurkiClient) -> int:
    return len(await burki.contacts(42, per_page=1))


async def test_timeouts_are_an_outage_too() -> None:
    """A server that swallows requests is probed, one at a time, and given up."""

    async def swallow(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number > 1:
            await asyncio.sleep(1000)
        return httpx.Response(200, json=page(number, 1, range(PAGES)))

    start = now()
    async with BurkiClient(
        KEY, timeout=5, attempts=3, transport=httpx.MockTransport(swallow)
    ) as burki:
        with pytest.raises(RequestTimeoutError):
            await burki.contacts(42, per_page=1)
    assert now() - start <= 90


async def test_only_one_waits_in_front() -> None:
    """While a probe is under way nobody else is let go, and then one."""
    outage = CircuitBreaker(6, draw=lambda: 0.0)
    first, second = object(), object()
    for failed in (first, second, second):
        assert outage.failed(failed, is_probe=False, retry_after=0.0) is None
    assert await outage.admit()
    waiting = [asyncio.create_task(outage.admit()) for _ in range(5)]
    await asyncio.sleep(60)
    assert not any(task.done() for task in waiting)
    outage.leave()
    assert outage.failed(first, is_probe=True, retry_after=0.0) is None
    await asyncio.sleep(1)
    assert sum(task.done() for task in waiting) == 1
    outage.leave()
    outage.over()
    assert sorted(await asyncio.gather(*waiting)) == [False] * 4 + [True]
