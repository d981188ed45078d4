"""`Contacts.estimate`: how many requests a pull takes, and how long, before it starts."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import attrs
import httpx
import pytest
from pages import KEY, page

from aioburki import BurkiClient, Contacts, NotFoundError, PullEstimate, PullReport
from aioburki._estimate import seconds_of
from aioburki._requests import Capacity
from aioburki._requests.retry_policy import RetryPolicy
from aioburki._throttle import Grant, QuotaState
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


class SharedRate:
    """A limiter without other processes."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._next = 0.0

    async def reserve(self, *, passed: int, earlier: Grant | None = None) -> Grant:
        now = asyncio.get_running_loop().time()
        moment = max(now, self._next)
        self._next = moment + 1 / self.rate
        return Grant(wait=moment - now, moment=moment, rate=self.rate)

    async def record_refusal(self, *, passed: int, age: float | None, pause: float) -> None:
        """Forget it."""


def capacity(**known: Any) -> Capacity:
    return Capacity(**{"concurrency": 8, "allowed": 8, **known})


def quota(left: int, rest: float, limit: int = 100, period: float = 60) -> QuotaState:
    return QuotaState(limit=limit, left=left, rest=rest, idle=0, period=period)


@pytest.mark.parametrize(
    ("requests", "known", "last", "seconds"),
    [
        (0, {}, 0, 0),
        (0, {"quota": quota(0, 30)}, 0, 0),
        (1, {}, 0, 0.5),
        (9, {}, 0, 1.0),  # page 1, then eight at once
        (10, {}, 0, 1.5),
        (10, {"concurrency": 1, "allowed": 1}, 0, 5.0),
        (13, {"allowed": 4}, 0, 1.5),  # 1, 4, 8
        (14, {"allowed": 4}, 0, 2.0),
        (10, {}, 1, 1.5),  # 1, 8, and one after them
        (11, {"rate": 2.0}, 0, 5.5),
        (101, {"rate": 1000.0}, 0, 7.0),  # concurrency allows less than the rate
        (1, {"pause": 7.0}, 0, 7.5),
        (20, {"quota": quota(20, 30)}, 0, 2.0),  # enough
        (21, {"quota": quota(20, 30)}, 0, 30.5),  # one waits for the next period
        (120, {"quota": quota(20, 30)}, 0, 30 + 7.0),
        (121, {"quota": quota(20, 30)}, 0, 30 + 60 + 0.5),
        (5, {"quota": quota(-3, 30)}, 0, 31.0),
        (5, {"quota": quota(0, 30, limit=0)}, 0, 30 + 4 * 60 + 0.5),
        (121, {"quota": quota(20, 30), "rate": 0.5}, 0, 240.5),  # the rate allows less
        (61, {"quota": quota(100, 600), "spread": 50}, 0, 4 + 11 * 596 / 50),  # 50 come quickly
        (40, {"quota": quota(100, 600), "spread": 50}, 0, 3.0),
        (10, {"quota": quota(50, 600), "spread": 50}, 0, 120),
    ],
)
async def test_seconds(requests: int, known: dict[str, Any], last: int, seconds: float) -> None:
    """Requests of half a second each take as long as the tightest of the limits needs."""
    known = dict(known)
    assert seconds_of(requests, 0.5, capacity(**known), last=last) == pytest.approx(seconds)


async def test_more_requests_never_take_less_time() -> None:
    """Whatever is known, a request more takes as long or longer."""
    for known in (
        {},
        {"allowed": 4, "rate": 3.0},
        {"quota": quota(20, 30)},
        {"quota": quota(100, 600), "spread": 50},
    ):
        times = [seconds_of(number, 0.5, capacity(**known)) for number in range(300)]
        assert times == sorted(times)


async def test_spread_of_a_quota() -> None:
    """The second half of a long period is spread, unless each request would wait too long."""
    policy = RetryPolicy(6, 120.0)
    cases = [(100, 600), (30, 600), (100, 100), (100, 86_400), (0, 600)]
    assert [policy.spread(quota(left, rest)) for left, rest in cases] == [50, 30, 0, 0, 0]


async def both(contacts: Contacts) -> tuple[PullEstimate, PullReport]:
    """Return the estimate and the report of the pull that is started after it."""
    estimate = await contacts.estimate()
    return estimate, (await contacts).report


def check(estimate: PullEstimate, report: PullReport) -> None:
    assert estimate.contacts == report.contacts
    assert estimate.requests == pytest.approx(report.requests, rel=0.2)
    assert estimate.seconds == pytest.approx(report.elapsed, rel=0.25)


@pytest.mark.parametrize(
    ("contacts", "options", "query"),
    [
        (950, {}, {}),
        (5_000, {}, {}),
        (5_000, {"id_gaps": True}, {}),
        (5_000, {"order": "-id"}, {}),
        (950, {"order": "-id"}, {}),
        (10_000, {"order": "ties"}, {}),
        (10_000, {}, {"status": "failed"}),
        (5_000, {}, {"complete": False}),
        (5_000, {}, {"limit": 1_234}),
        (50, {}, {}),
        (0, {}, {}),
        (5_000, {}, {"limit": 0}),
    ],
    ids=str,
)
async def test_pull_that_the_latency_limits(
    contacts: int, options: dict[str, Any], query: dict[str, Any]
) -> None:
    """Pulls of all kinds take what was estimated: requests by a fifth, time by a quarter."""
    asyncio.get_running_loop().set_debug(False)
    sandbox = Sandbox(contacts, latency=0.2, **options)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        estimate = await burki.contacts(42, per_page=100, **query).estimate()
        assert sandbox.requests == 1
        report = (await burki.contacts(42, per_page=100, **query)).report
        if options.get("order") == "ties":  # such a pull finds no more than it can
            estimate = attrs.evolve(estimate, contacts=report.contacts)
        check(estimate, report)
        assert estimate.pages == math.ceil(estimate.contacts / 100) or query or options
        assert estimate.page_seconds == pytest.approx(0.2)
        assert estimate.concurrency == 8
        assert estimate.requests_per_second is estimate.quota_left is estimate.quota_reset is None


async def test_ranges_have_their_share() -> None:
    """A range is estimated by its part of the list, and so is what is left of a stream."""
    asyncio.get_running_loop().set_debug(False)
    async with BurkiClient(KEY, transport=Sandbox(5_000, latency=0.2).transport) as burki:
        for part in await burki.contacts(42, per_page=100).split(3):
            check(*await both(burki.contacts(part, per_page=100)))
        async with burki.contacts(42, per_page=100).stream() as stream:
            for _ in range(3_500):
                await anext(stream)
            rest = stream.rest
        assert rest is not None
        check(*await both(burki.contacts(rest, per_page=100)))
        assert (await burki.contacts(rest, limit=1_000).estimate()).contacts == 1_000


async def test_smaller_pages_of_the_server_are_counted() -> None:
    """If the server allows only smaller pages, there are more of them."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        return httpx.Response(200, json=page(number, 10, range(1, 101)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        estimate, report = await both(burki.contacts(42, per_page=1000))
        assert (estimate.pages, estimate.requests, report.contacts) == (10, 10, 100)


async def test_pull_that_the_rate_of_the_client_limits() -> None:
    """With `rate` a pull takes as long as its requests at that rate."""
    sandbox = Sandbox(1_000, latency=0.2)
    async with BurkiClient(KEY, transport=sandbox.transport, rate=5) as burki:
        estimate, report = await both(burki.contacts(42, per_page=20))
        check(estimate, report)
        assert estimate.requests_per_second == 5


async def test_pull_that_a_shared_limiter_limits() -> None:
    """The rate that all processes share is known, also where 429s have lowered it."""
    sandbox, limiter = Sandbox(1_000, latency=0.2), SharedRate(5)
    async with BurkiClient(KEY, transport=sandbox.transport, limiter=limiter) as burki:
        estimate, report = await both(burki.contacts(42, per_page=20))
        check(estimate, report)
        assert estimate.requests_per_second == 5
        limiter.rate = 2
        assert (await burki.contacts(42, per_page=20).estimate()).requests_per_second == 2


async def test_pull_that_a_measured_limit_limits() -> None:
    """A limit that the client has measured is known to the next pull."""
    asyncio.get_running_loop().set_debug(False)
    sandbox = Sandbox(2_500, latency=0.05, rate=20)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        await burki.contacts(42, per_page=10)
        estimate, report = await both(burki.contacts(42, per_page=10))
        check(estimate, report)
        assert estimate.requests_per_second == pytest.approx(20, rel=0.1)


class Quota(httpx.AsyncBaseTransport):
    """Answer with quota headers, and with 429 what is beyond the quota of a period."""

    def __init__(self, inner: httpx.AsyncBaseTransport, limit: int, period: float) -> None:
        self.inner = inner
        self.limit = limit
        self.period = period
        self.begin = asyncio.get_running_loop().time()
        self.counts: dict[int, int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        passed = asyncio.get_running_loop().time() - self.begin
        number = int(passed // self.period)
        self.counts[number] = count = self.counts.get(number, 0) + 1
        reset = str(math.ceil((number + 1) * self.period - passed))
        left = self.limit - count
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, left)),
            "X-RateLimit-Reset": reset,
        }
        if left < 0:
            return httpx.Response(429, headers=headers)
        response = await self.inner.handle_async_request(request)
        response.headers.update(headers)
        return response


@pytest.mark.parametrize(
    ("contacts", "limit", "period", "wait"),
    [
        (1_000, 100, 60, 120),  # enough
        (2_000, 30, 60, 120),  # four periods
        (2_000, 500, 1_000, 120),  # a pull that the quota does not slow down
        (1_600, 100, 1_000, 120),  # spread over the period
    ],
)
async def test_pull_that_a_quota_limits(
    contacts: int, limit: int, period: float, wait: float
) -> None:
    """A quota of the server's headers and its periods make the time of a pull."""
    transport = Quota(Sandbox(contacts, latency=0.2).transport, limit, period)
    async with BurkiClient(KEY, transport=transport, max_wait=wait) as burki:
        estimate, report = await both(burki.contacts(42, per_page=20))
        check(estimate, report)
        assert estimate.quota_left == limit - 1
        assert estimate.quota_reset == pytest.approx(period, abs=1)


async def test_quota_that_cannot_be_waited_for_is_seen() -> None:
    """What a pull lacks of the quota, and when it is reset, is known before the pull."""
    transport = Quota(Sandbox(2_000, latency=0.2).transport, 10, 3_600)
    async with BurkiClient(KEY, transport=transport, max_wait=60) as burki:
        estimate = await burki.contacts(42, per_page=10).estimate()
        assert (estimate.requests, estimate.quota_left) == (200, 9)
        assert estimate.quota_reset is not None
        assert estimate.quota_reset > 60
        assert estimate.seconds > 19 * 3_600


async def test_failure_of_the_request_is_raised() -> None:
    """A campaign that does not exist is an error, and a range past the end of the list is empty."""
    sandbox = Sandbox(1_000)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        with pytest.raises(NotFoundError):
            await burki.contacts(41).estimate()
        part = (await burki.contacts(42, per_page=100).split(2))[1]

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"detail": "no such page"})

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        estimate = await burki.contacts(part, per_page=100).estimate()
        assert (estimate.contacts, estimate.pages, estimate.requests) == (0, 0, 1)


async def test_seconds_of_many_requests_come_at_once() -> None:
    """The arithmetic does not count requests one by one."""
    begin = time.perf_counter()
    seconds_of(10**12, 0.5, capacity(quota=quota(20, 30), concurrency=1000, allowed=4))
    assert time.perf_counter() - begin < 1
