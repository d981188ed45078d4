"""503s: a limit between successes, an outage without any, faults if slowing down does not help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import httpx
import pytest
from limiters import Bucket, Connections
from pages import KEY, page

from aioburki import BurkiClient, ContactList, Event, RetryScheduled, ServerError
from aioburki._throttle.busy_signs import BusySigns, BusySignsConfig
from aioburki._throttle.circuit_breaker import Circuit
from aioburki._throttle.pacer import Pacer

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.virtual_clock]

LATENCY = 0.02


def now() -> float:
    return asyncio.get_running_loop().time()


class Server:
    """Serve pages of one contact in *LATENCY* seconds; refuse with 503 what *is_refused* says."""

    def __init__(
        self, pages: int, is_refused: Callable[[float, int], bool], **headers: str
    ) -> None:
        asyncio.get_running_loop().set_debug(False)
        self.pages, self.is_refused, self.headers = pages, is_refused, headers
        self.start = now()
        self.times: list[float] = []
        self.refused = 0
        self.events: list[Event] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.times.append(now() - self.start)
        await asyncio.sleep(LATENCY / 2)
        number = int(request.url.params["page"])
        if self.is_refused(now() - self.start, number):
            self.refused += 1
            await asyncio.sleep(0.001)
            return httpx.Response(503, html="<h1>busy</h1>", headers=self.headers)
        await asyncio.sleep(LATENCY / 2)
        return httpx.Response(200, json=page(number, 1, range(self.pages)))

    async def pull(self, **settings: int) -> ContactList:
        async with BurkiClient(
            KEY,
            transport=httpx.MockTransport(self),
            on_event=self.events.append,
            **settings,  # type: ignore[arg-type]
        ) as burki:
            return await burki.contacts(42, per_page=1)


@pytest.mark.no_cover
@pytest.mark.parametrize("attempts", [1, 6])
@pytest.mark.parametrize("in_flight", [8, 16, 64])
async def test_limit_that_answers_503_is_kept(attempts: int, in_flight: int) -> None:
    """At 50/s and burst 10 nine tenths of the limit are used, and few requests are refused."""
    limiter = Bucket(50, 10)
    server = Server(1500, lambda at, _: limiter.take(at) is not None)
    contacts = await server.pull(attempts=attempts, concurrency=in_flight)
    assert [contact.id for contact in contacts] == list(range(1500))
    assert now() - server.start <= 1500 / 50 / 0.9
    assert server.refused <= 0.04 * 1500


@pytest.mark.no_cover
async def test_limit_of_connections_that_answers_503_is_kept() -> None:
    """With four requests in progress nine tenths of them are used, and few are refused."""
    limiter = Connections(4, LATENCY / 2)
    server = Server(1500, lambda at, _: limiter.take(at) is not None)
    await server.pull(concurrency=16)
    assert now() - server.start <= 1500 * LATENCY / 4 / 0.9
    assert server.refused <= 0.02 * 1500


async def test_503s_of_a_limit_are_retries_and_told() -> None:
    """Each is a RetryScheduled event and counted in `retries`, not in `rate_limited`."""
    limiter = Bucket(10, 5)
    server = Server(100, lambda at, _: limiter.take(at) is not None)
    report = (await server.pull()).report
    retries = [event for event in server.events if isinstance(event, RetryScheduled)]
    assert len(retries) == report.retries == server.refused > 0
    assert report.rate_limited == 0


async def test_retry_after_of_a_limit_that_answers_503_is_waited() -> None:
    """A 503 between successes that asks for five seconds gets them, from all requests."""
    server = Server(100, lambda at, _: 0.1 < at < 5.1, **{"retry-after": "5"})
    await server.pull()
    assert not [time for time in server.times if 0.2 < time < 5.1]
    assert len(server.times) <= 100 + 10


@pytest.mark.no_cover
async def test_limit_is_kept_as_it_was_after_an_outage() -> None:
    """503s with no success between them are an outage, which says nothing of the rate."""
    server = Server(3000, lambda at, _: 1 <= at < 31)
    await server.pull(concurrency=16)
    back = min(time for time in server.times if time >= 31)
    assert sum(back <= time < back + 1 for time in server.times) >= 0.8 * 16 / LATENCY


@pytest.mark.no_cover
@pytest.mark.parametrize(("share", "seconds"), [(0.05, 20), (0.1, 30)])
async def test_503s_that_slowing_down_does_not_prevent_are_faults(
    share: float, seconds: float
) -> None:
    """A server that fails some requests by chance is not taken for one with a low limit."""
    draw = random.Random(1).random
    server = Server(4000, lambda _at, _page: draw() < share)
    assert len(await server.pull(attempts=20)) == 4000
    assert now() - server.start <= seconds


async def test_page_that_always_answers_503_is_given_up() -> None:
    """A page that alone is answered 503 ends the pull, while others are fetched."""
    server = Server(500, lambda _at, page: page == 7)
    with pytest.raises(ServerError) as caught:
        await server.pull(attempts=3)
    assert caught.value.page == 7
    assert now() - server.start <= 60


async def test_503_without_a_success_before_is_an_attempt() -> None:
    """A server that has never answered otherwise is down: the first page has its attempts."""
    server = Server(5, lambda _at, _page: True)
    with pytest.raises(ServerError):
        await server.pull(attempts=4)
    assert len(server.times) == 4


async def test_faults_are_a_limit_again_after_enough_successes() -> None:
    """503s that were faults may be a limit again after a row of successes without one."""
    config = BusySignsConfig(recent=2, min_refused=1, rows=1, min_successes=10, quiet=3)
    signs, circuit = BusySigns(Pacer(None), config), Circuit()
    signs.record_success()
    assert signs.record_busy(now(), 1, circuit)
    signs.record_success()  # slowing down has not helped
    assert not signs.record_busy(now(), 1, circuit)
    for _ in range(3):
        signs.record_success()
    assert signs.record_busy(now(), 1, circuit)


async def test_503s_teach_how_many_requests_may_be_in_flight() -> None:
    """Where more were in flight than nearly all that passed, their number is kept, not a rate."""
    pacer = Pacer(None)
    signs = BusySigns(pacer, BusySignsConfig(recent=2, min_refused=1))
    for in_flight in (1, 4) * 20:
        pacer.record_success(now(), in_flight)
    for _ in range(2):
        signs.record_success()
        assert signs.record_busy(now(), 5, Circuit())
        signs.record_success()
        await asyncio.sleep(1)
        pacer.record_success(now(), 1)
    assert pacer.max_in_flight == 4
    assert not pacer.pause_left()
