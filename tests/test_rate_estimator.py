"""The rate estimator: an unknown limit is found, kept, followed when it moves, and remembered."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from limiters import (
    Adaptive,
    Bucket,
    FixedWindow,
    Limiter,
    Result,
    RetryAfter,
    SlidingLog,
    absent,
    as_date,
    crowd,
    in_seconds,
)
from pages import KEY, page

from aioburki import BurkiClient, RateLimitError
from aioburki._throttle.pacer import Pacer
from aioburki._throttle.rate_estimator import RateEstimator

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.virtual_clock]


async def pull(
    limiter: Limiter,
    *,
    seconds: float = 60,
    latency: float = 0.02,
    workers: int = 8,
    retry_after: RetryAfter = absent,
    client: Adaptive | None = None,
    seed: int = 0,
) -> Result:
    return await crowd(
        client or Adaptive(),
        limiter,
        workers=workers,
        latency=latency,
        seconds=seconds,
        retry_after=retry_after,
        seed=seed,
    )


@pytest.mark.parametrize(
    ("rate", "burst", "latency", "workers", "retry_after"),
    [
        (50, 5, 0.02, 8, absent),
        (50, 100, 0.02, 8, in_seconds),
        (50, 10, 0.18, 16, in_seconds),
        (100, 20, 0.02, 8, as_date),
        (100, 100, 0.18, 32, absent),
        (240, 5, 0.02, 8, absent),
    ],
)
async def test_token_bucket_is_used_with_few_429s(
    rate: float, burst: int, latency: float, workers: int, retry_after: RetryAfter
) -> None:
    """In a minute at least 95 % of the limit is used, 1.5 % refused, no page over three times."""
    result = await pull(
        Bucket(rate, burst), latency=latency, workers=workers, retry_after=retry_after
    )
    assert result.passed >= 0.95 * 60 * rate
    assert result.refused_percent <= 1.5
    assert result.most_refusals <= 3


@pytest.mark.parametrize("burst", [5, 20, 100])
async def test_small_limit_is_used_with_few_429s(burst: int) -> None:
    """At ten per second the 429s of the first burst weigh more: at most 2 % are refused."""
    result = await pull(Bucket(10, burst))
    assert result.passed >= 0.95 * 600
    assert result.refused_percent <= 2
    assert result.most_refusals <= 3


async def test_no_request_waits_before_the_first_429() -> None:
    """Without a 429 the rate is bounded by the requests in flight alone, after the slow start."""
    round_trips = 2 / 0.02 - 3  # that of 4, 8 and 16 requests
    result = await pull(Bucket(1e6, 1e6), seconds=2, latency=0.02, workers=32)
    assert result.passed >= 0.93 * round_trips * 32
    assert result.refused == 0


async def test_limit_that_is_lifted_is_forgotten() -> None:
    """When the limit is lifted, full speed is back within seconds."""
    result = await pull(Bucket(10, 10, ((0.5, 1e6),)), seconds=10, workers=32)
    last = [time for time in result.passed_at if time >= 8]
    assert len(last) >= 0.9 * 2 * 32 / 0.02


@pytest.mark.parametrize("latency", [0.02, 0.18])
async def test_lowered_limit_is_kept(latency: float) -> None:
    """A quarter of the limit is found within seconds, with few 429s."""
    result = await pull(Bucket(80, 10, ((20, 20),)), latency=latency, workers=32)
    later = [time for time in result.passed_at if time > 25]
    assert 0.9 * 20 * 35 <= len(later) <= 1.05 * 20 * 35
    assert result.refused_percent <= 4


@pytest.mark.parametrize("seed", range(3))
async def test_raised_limit_is_found(seed: int) -> None:
    """Four times the limit is found within half a minute."""
    result = await pull(Bucket(20, 10, ((10 + 4 * seed, 80),)), workers=32, seed=seed)
    last = [time for time in result.passed_at if time > 50]
    assert len(last) >= 0.95 * 80 * 10
    assert result.refused_percent <= 2


@pytest.mark.parametrize(
    ("limit", "seconds", "total"), [(50, 1, 20), (500, 10, 60), (600, 60, 150), (1000, 3600, 7200)]
)
@pytest.mark.parametrize("latency", [0.02, 0.18])
async def test_told_quota_is_never_exceeded(
    limit: int, seconds: float, total: float, latency: float
) -> None:
    """With X-RateLimit headers no request is refused at all."""
    limiter = FixedWindow(limit, seconds, says=True)
    client = Adaptive()
    client.queue.end_slow_start()  # as the headers of page 1 do
    result = await pull(limiter, seconds=total, latency=latency, workers=16, client=client)
    assert result.refused == 0
    assert result.passed >= 0.6 * limiter.capacity(total)


@pytest.mark.parametrize(
    ("limiter", "seconds", "used"),
    [
        (FixedWindow(50, 1), 60, 0.6),
        (FixedWindow(500, 10), 60, 0.65),
        (FixedWindow(600, 60), 300, 0.8),
        (SlidingLog(50, 1), 60, 0.7),
    ],
)
async def test_untold_quota_is_used_with_few_429s(
    limiter: Limiter, seconds: float, used: float
) -> None:
    """Quotas without headers are used for the most part, with few 429s."""
    result = await pull(limiter, seconds=seconds)
    assert result.passed >= used * limiter.capacity(seconds)
    assert result.refused_percent <= 3


async def test_limit_is_remembered_for_the_next_pull() -> None:
    """A second pull of the client keeps the limit that the first has found."""
    client, limiter = Adaptive(), Bucket(50, 10)
    first = await pull(limiter, seconds=30, client=client)
    second = await crowd(client, Bucket(50, 10), workers=8, latency=0.02, seconds=30, seed=1)
    assert first.refused > second.refused <= 5
    assert second.passed >= 0.95 * 50 * 30


async def test_fifty_429s_of_one_instant_cut_the_rate_once() -> None:
    """Requests that were in flight together are one signal, however many are refused."""
    pacers = [Pacer(None, draw=lambda: 0.5) for _ in range(2)]
    rates = []
    for pacer, refusals in zip(pacers, (1, 50), strict=True):
        start = asyncio.get_running_loop().time()
        for _ in range(50):
            await pacer.acquire()
        await asyncio.sleep(0.02)
        for _ in range(refusals):
            pacer.record_refusal(start, 0.0)
        rates.append(pacer._estimator.rate(start + 1))
    assert rates[0] == rates[1] == 10


async def test_429s_without_a_success_measure_nothing() -> None:
    """A server that refuses everything is no limit of zero."""
    estimator = RateEstimator()
    estimator.record_success(1.0, 0.9)
    estimator.record_refusal(2.0, 1.9)
    assert estimator.rate(2.0) == 10
    estimator.record_reopening(10.0, 0.5)
    assert estimator.rate(10.0) == 10


async def test_a_clock_that_stands_still_gives_a_rate() -> None:
    """Two 429s of one tick of the clock, as of Windows, are no division by zero."""
    estimator = RateEstimator()
    for paused in (0.0, 1.0):
        estimator.record_pause(paused)
        estimator.record_sent(5.0)
        estimator.record_refusal(5.0, 5.0)
    assert estimator.rate(5.0) == pytest.approx(5.0)
    estimator.record_success(5.0, 5.0)
    estimator.record_reopening(5.0, shut=60.0)
    assert 0 < estimator.rate(5.0) < 100_000


async def test_client_finds_the_limit_and_fetches_every_page_once() -> None:
    """The real client keeps within an unknown limit and delivers every contact."""
    loop, limiter = asyncio.get_running_loop(), Bucket(50, 10)
    loop.set_debug(False)  # which takes most of the time of a thousand pages
    start, answers = loop.time(), [0, 0]

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        wait = limiter.take(loop.time() - start)
        await asyncio.sleep(0.01)
        answers[wait is not None] += 1
        if wait is not None:
            return httpx.Response(429)
        return httpx.Response(200, json=page(int(request.url.params["page"]), 1, range(1000)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        contacts = await burki.contacts(42, per_page=1)
    assert [contact.id for contact in contacts] == list(range(1000))
    assert answers == [1000, contacts.report.rate_limited]
    assert contacts.report.rate_limited <= 0.02 * 1000
    assert contacts.report.elapsed <= 1000 / 50 / 0.9


async def test_client_keeps_within_a_told_quota() -> None:
    """With X-RateLimit headers the real client uses each period up and waits for the next."""
    loop, limiter = asyncio.get_running_loop(), FixedWindow(10, 20, says=True)
    start = loop.time()

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        assert limiter.take(loop.time() - start) is None
        quota = limiter.quota(loop.time() - start)
        assert quota is not None
        return httpx.Response(
            200,
            json=page(int(request.url.params["page"]), 1, range(35)),
            headers={
                "x-ratelimit-limit": "10",
                "x-ratelimit-remaining": str(quota.remaining),
                "x-ratelimit-reset": str(quota.reset),
            },
        )

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        contacts = await burki.contacts(42, per_page=1)
    assert len(contacts) == 35
    assert contacts.report.rate_limited == 0
    assert 50 <= contacts.report.elapsed <= 60


async def test_429_may_say_when_its_quota_period_ends() -> None:
    """Without Retry-After the end of the period is the wait that `max_wait` bounds."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3000"}
    transport = httpx.MockTransport(lambda _: httpx.Response(429, headers=headers))
    async with BurkiClient(KEY, transport=transport) as burki:
        with pytest.raises(RateLimitError) as caught:
            await burki.contacts(42)
    assert caught.value.retry_after == 3000
    assert caught.value.attempts == 1
