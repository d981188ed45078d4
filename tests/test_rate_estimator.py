"""The limit nobody told us: found, kept, followed, and remembered, in every shape of limiter."""

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
async def test_a_bucket_is_used_and_hardly_ever_refuses(
    rate: float, burst: int, latency: float, workers: int, retry_after: RetryAfter
) -> None:
    """Over a minute 95 % of the limit are used, 1.5 % refused, no page more than three times."""
    result = await pull(
        Bucket(rate, burst), latency=latency, workers=workers, retry_after=retry_after
    )
    assert result.passed >= 0.95 * 60 * rate
    assert result.refused_percent <= 1.5
    assert result.most_refusals <= 3


@pytest.mark.parametrize("burst", [5, 20, 100])
async def test_a_small_limit_is_used_too(burst: int) -> None:
    """At ten a second the refusals of the first moment weigh more: 2 % are refused at most."""
    result = await pull(Bucket(10, burst))
    assert result.passed >= 0.95 * 600
    assert result.refused_percent <= 2
    assert result.most_refusals <= 3


async def test_nothing_is_held_back_before_the_first_refusal() -> None:
    """Without a 429 there is no ceiling but the number of requests in flight."""
    result = await pull(Bucket(1e6, 1e6), seconds=2, latency=0.02, workers=32)
    assert result.passed >= 0.93 * 2 * 32 / 0.02
    assert result.refused == 0


async def test_a_limit_that_is_gone_is_forgotten() -> None:
    """After one refusal by mistake all goes as fast as before within seconds."""
    result = await pull(Bucket(10, 10, ((0.5, 1e6),)), seconds=10, workers=32)
    last = [time for time in result.passed_at if time >= 8]
    assert len(last) >= 0.9 * 2 * 32 / 0.02


@pytest.mark.parametrize("latency", [0.02, 0.18])
async def test_a_limit_that_falls_is_kept(latency: float) -> None:
    """A fifth of the limit is found within seconds, at few refusals."""
    result = await pull(Bucket(80, 10, ((20, 20),)), latency=latency, workers=32)
    later = [time for time in result.passed_at if time > 25]
    assert 0.9 * 20 * 35 <= len(later) <= 1.05 * 20 * 35
    assert result.refused_percent <= 4


@pytest.mark.parametrize("seed", range(3))
async def test_a_limit_that_rises_is_found(seed: int) -> None:
    """Four times the limit is found within half a minute, by itself."""
    result = await pull(Bucket(20, 10, ((10 + 4 * seed, 80),)), workers=32, seed=seed)
    last = [time for time in result.passed_at if time > 50]
    assert len(last) >= 0.95 * 80 * 10
    assert result.refused_percent <= 2


@pytest.mark.parametrize(
    ("limit", "seconds", "total"), [(50, 1, 20), (500, 10, 60), (600, 60, 150), (1000, 3600, 7200)]
)
@pytest.mark.parametrize("latency", [0.02, 0.18])
async def test_a_window_that_is_told_is_never_overdrawn(
    limit: int, seconds: float, total: float, latency: float
) -> None:
    """With X-RateLimit headers no request is refused at all."""
    limiter = FixedWindow(limit, seconds, says=True)
    result = await pull(limiter, seconds=total, latency=latency, workers=16)
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
async def test_a_window_that_is_not_told_is_lived_with(
    limiter: Limiter, seconds: float, used: float
) -> None:
    """Windows without headers are used for the most part, with few refusals."""
    result = await pull(limiter, seconds=seconds)
    assert result.passed >= used * limiter.capacity(seconds)
    assert result.refused_percent <= 3


async def test_what_was_learned_stays_for_the_next_pull() -> None:
    """A second pull of the client keeps the limit that the first has found."""
    client, limiter = Adaptive(), Bucket(50, 10)
    first = await pull(limiter, seconds=30, client=client)
    second = await crowd(client, Bucket(50, 10), workers=8, latency=0.02, seconds=30, seed=1)
    assert first.refused > second.refused <= 5
    assert second.passed >= 0.95 * 50 * 30


async def test_fifty_refusals_of_one_instant_cut_the_rate_once() -> None:
    """Requests that were under way together are one signal, however many are refused."""
    pacers = [Pacer(None, draw=lambda: 0.5) for _ in range(2)]
    rates = []
    for pacer, refusals in zip(pacers, (1, 50), strict=True):
        start = asyncio.get_running_loop().time()
        for _ in range(50):
            await pacer.wait()
        await asyncio.sleep(0.02)
        for _ in range(refusals):
            pacer.refuse(start, None)
        rates.append(pacer._limit.rate(start + 1))
    assert rates[0] == rates[1] == 10


async def test_refusals_without_a_success_measure_nothing() -> None:
    """A server that refuses everything is no limit of zero."""
    limit = RateEstimator()
    limit.passed(1.0, 0.9)
    limit.refused(2.0, 1.9)
    assert limit.rate(2.0) == 10
    limit.reopened(10.0, 0.5)
    assert limit.rate(10.0) == 10


async def test_a_client_finds_the_limit_and_fetches_every_page_once() -> None:
    """The real client keeps within a limit nobody told it, and loses nothing meanwhile."""
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


async def test_a_client_keeps_to_what_the_server_says_is_left() -> None:
    """With X-RateLimit headers the real client uses windows up and waits for the next."""
    loop, limiter = asyncio.get_running_loop(), FixedWindow(10, 20, says=True)
    start = loop.time()

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        assert limiter.take(loop.time() - start) is None
        said = limiter.quota(loop.time() - start)
        assert said is not None
        return httpx.Response(
            200,
            json=page(int(request.url.params["page"]), 1, range(35)),
            headers={
                "x-ratelimit-limit": "10",
                "x-ratelimit-remaining": str(said.remaining),
                "x-ratelimit-reset": str(said.reset),
            },
        )

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        contacts = await burki.contacts(42, per_page=1)
    assert len(contacts) == 35
    assert contacts.report.rate_limited == 0
    assert 50 <= contacts.report.elapsed <= 60


async def test_a_429_may_say_when_its_window_ends() -> None:
    """Without Retry-After the end of the window counts, also against `max_wait`."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3000"}
    transport = httpx.MockTransport(lambda _: httpx.Response(429, headers=headers))
    async with BurkiClient(KEY, transport=transport) as burki:
        with pytest.raises(RateLimitError) as caught:
            await burki.contacts(42)
    assert caught.value.retry_after == 3000
    assert caught.value.attempts == 1
