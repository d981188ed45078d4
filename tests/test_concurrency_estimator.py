"""Limits of the requests in progress: learned from the refusals, kept, raised and forgotten."""

from __future__ import annotations

import asyncio
import math

import httpx
import pytest
from limiters import Adaptive, Bucket, Connections, Limiter, Result, crowd
from pages import KEY, page

from aioburki import BurkiClient, Event, PauseStarted, RateLimitError
from aioburki._requests.retry_policy import pause_for_all
from aioburki._throttle.concurrency_estimator import ConcurrencyEstimator
from aioburki._throttle.pacer import Pacer
from aioburki._throttle.refusals import Refusal

PAGE = 0.1
SECONDS = 60.0


def estimator(limit: int, moments: int = 2) -> ConcurrencyEstimator:
    """Return one that has learned *limit*; its refusals ended at the time *moments*."""
    learning = ConcurrencyEstimator()
    for in_flight in (1, limit) * 20:
        learning.record_success(0.0, in_flight)
    refuse(learning, limit + 1, moments, start=0.0)
    assert learning.max_in_flight == limit
    return learning


def refuse(learning: ConcurrencyEstimator, in_flight: int, moments: int, start: float) -> bool:
    """Refuse a request in each of so many seconds, between successes; return the last result."""
    is_limit = False
    for second in range(moments):
        now = start + second + 1
        is_limit = learning.record_refusal(now, now - 0.1, in_flight)
        learning.record_success(now, 1)
    return is_limit


async def pull_for_a_minute(limiter: Limiter, seed: int = 0) -> tuple[Result, Adaptive]:
    controller = Adaptive()
    result = await crowd(
        controller,
        limiter,
        workers=16,
        latency=PAGE,
        refusal=0.01,
        seconds=SECONDS,
        seed=seed,
    )
    return result, controller


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [2, 4, 8])
async def test_limit_of_connections_is_used_with_few_429s(limit: int, seed: int) -> None:
    """Nine tenths of what so many requests in progress allow, with 2 % of 429s at most."""
    result, _ = await pull_for_a_minute(Connections(limit, PAGE * 0.95), seed)
    assert result.passed >= 0.9 * limit / (PAGE * 1.05) * SECONDS
    assert result.refused_percent <= 2


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.parametrize("rate", [10, 50, 100])
async def test_rate_limit_is_not_taken_for_a_limit_of_connections(rate: int) -> None:
    """At a token bucket the number of requests in flight is not bounded."""
    result, controller = await pull_for_a_minute(Bucket(rate, 10))
    assert controller.pacer.max_in_flight is None
    assert result.refused > 0


@pytest.mark.asyncio
@pytest.mark.virtual_clock
async def test_refused_trial_holds_up_no_other_request() -> None:
    """Where one request in flight too many is refused, even with a Retry-After, only it waits."""
    asyncio.get_running_loop().set_debug(False)
    limiter, events = Connections(4, PAGE), list[Event]()

    async def serve(request: httpx.Request) -> httpx.Response:
        wait = limiter.take(asyncio.get_running_loop().time())
        if wait is not None:
            return httpx.Response(429, headers={"retry-after": "2"})
        await asyncio.sleep(PAGE)
        number = int(request.url.params["page"])
        return httpx.Response(200, json=page(number, 1, range(2000)))

    async with BurkiClient(
        KEY, transport=httpx.MockTransport(serve), concurrency=16, on_event=events.append
    ) as burki:
        report = (await burki.contacts(42, per_page=1)).report
    pauses = [event for event in events if isinstance(event, PauseStarted)]
    assert len(pauses) > 6
    assert report.elapsed <= 2000 * PAGE / 4 + 3 * 2.5  # those of two refusals wait for all


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.parametrize("seconds", [8.0, math.inf])
async def test_server_that_refuses_everything_is_waited_for(seconds: float) -> None:
    """A limit that was learned hides no closed server: all requests wait, at most `max_wait`."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    limiter, start, shut, refused = Connections(4, PAGE), loop.time(), math.inf, 0

    async def serve(request: httpx.Request) -> httpx.Response:
        nonlocal refused, shut
        now = loop.time() - start
        is_refused = shut <= now < shut + seconds or limiter.take(now) is not None
        if is_refused and now > 1:  # the second moment of refusal
            shut, refused = min(shut, now), refused + 1
        if is_refused:
            await asyncio.sleep(0.001)
            return httpx.Response(429)
        await asyncio.sleep(PAGE)
        number = int(request.url.params["page"])
        return httpx.Response(200, json=page(number, 1, range(600)))

    transport = httpx.MockTransport(serve)
    async with BurkiClient(KEY, transport=transport, concurrency=16, max_wait=30) as burki:
        async with asyncio.timeout(300):
            if seconds < math.inf:
                assert len(await burki.contacts(42, per_page=1)) == 600
            else:
                with pytest.raises(RateLimitError):
                    await burki.contacts(42, per_page=1)
                assert loop.time() - start - shut <= 30 + 5
    assert refused <= 40


def test_refusal_of_too_many_in_flight_pauses_the_others_for_no_retry_after() -> None:
    """A Retry-After of a minute is that of the refused request alone."""
    refusal = Refusal(
        is_new=True, is_repeated=False, number=1, seconds=0.0, pause_left=0.0, is_surplus=True
    )
    assert pause_for_all(refusal, 60.0, lambda: 0.5) == 0.0
    assert pause_for_all(refusal, None, lambda: 0.5) == 0.0


def test_one_more_is_tried_after_quiet_and_kept_if_it_passes() -> None:
    """After 50 successes one more is allowed, after 20 of these another one."""
    learned = estimator(4)
    for _ in range(49):
        learned.record_success(5.0, 4)
    assert learned.max_in_flight == 4
    learned.record_success(5.0, 4)
    assert learned.max_in_flight == 5
    for _ in range(19):
        learned.record_success(5.0, 5)
    assert learned.max_in_flight == 5
    learned.record_success(5.0, 5)
    assert learned.max_in_flight == 6


def test_refused_trial_ends_and_doubles_the_quiet() -> None:
    """After a trial that was refused the next one comes after twice as many successes."""
    learned = estimator(4)
    for _ in range(50):
        learned.record_success(5.0, 4)
    assert learned.record_refusal(10.0, 9.9, 5)
    assert learned.max_in_flight == 4
    for _ in range(99):
        learned.record_success(5.0, 4)
    assert learned.max_in_flight == 4
    learned.record_success(5.0, 4)
    assert learned.max_in_flight == 5


def test_successes_below_the_limit_start_no_trial() -> None:
    """Only requests sent with as many in flight as allowed say anything of a higher number."""
    learned = estimator(4)
    for _ in range(500):
        learned.record_success(5.0, 3)
    assert learned.max_in_flight == 4


def test_late_answers_of_a_trial_do_not_refute_the_limit() -> None:
    """Requests that were sent with too many in flight are surplus after the trial too."""
    learned = estimator(4)
    assert learned.record_refusal(10.0, 9.9, 6)
    assert learned.max_in_flight == 4


def test_refusals_of_the_moment_of_a_trial_do_not_refute_the_limit() -> None:
    """Requests overtake each other: the one too many may not be the one that is refused."""
    learned = estimator(4)
    for _ in range(50):
        learned.record_success(5.0, 4)
    assert learned.record_refusal(10.0, 9.9, 5)
    assert learned.record_refusal(10.1, 9.95, 4)
    assert learned.max_in_flight == 4
    learned.record_success(10.2, 4)
    assert not learned.record_refusal(10.4, 10.3, 4)
    assert learned.max_in_flight is None


def test_more_refusals_than_can_be_in_flight_refute_the_limit() -> None:
    """Where nothing passes any more, the number in flight is not the reason."""
    learned = estimator(4)
    results = [learned.record_refusal(10.0 + n, 9.9 + n, 5 - (n > 0)) for n in range(5)]
    assert results == [True] * 4 + [False]
    assert learned.max_in_flight is None


@pytest.mark.asyncio
@pytest.mark.virtual_clock
async def test_limit_is_refuted_where_answers_take_no_time() -> None:
    """A clock that stands still between request and answer gives a rate nevertheless."""
    pacer = Pacer(None)
    now = asyncio.get_running_loop().time()
    for in_flight in (1, 4) * 20:
        pacer.record_success(now, in_flight)
    assert not pacer.record_surplus(now, 5)
    pacer.record_success(now, 1)
    assert pacer.record_surplus(now, 5)
    pacer.record_success(now, 1)
    assert not pacer.record_surplus(now, 4)
    assert pacer.max_in_flight is None


def test_refusal_within_the_limit_refutes_it() -> None:
    """The limit is forgotten, and twice as many moments of refusal learn it again."""
    learned = estimator(4)
    assert not learned.record_refusal(10.0, 9.9, 3)
    assert learned.max_in_flight is None
    for in_flight in (1, 4) * 20:
        learned.record_success(15.0, in_flight)
    assert not refuse(learned, 5, 3, start=20.0)
    assert refuse(learned, 5, 1, start=30.0)
    assert learned.max_in_flight == 4


def test_refusals_of_one_moment_are_one() -> None:
    """Requests in flight together are refused together, which says nothing twice."""
    learning = ConcurrencyEstimator()
    for _ in range(20):
        learning.record_success(0.0, 1)
    for in_flight in range(5, 9):  # each was sent after the refusal of the one before it came
        now = 1.0 + in_flight / 1000
        assert not learning.record_refusal(now, now - 0.0005, in_flight)
    assert learning.max_in_flight is None


def test_old_successes_lose_weight() -> None:
    """A limit of connections that a server sets later is learned too."""
    learning = ConcurrencyEstimator()
    for _ in range(2000):
        learning.record_success(0.0, 16)
    for in_flight in (1, 4) * 3000:
        learning.record_success(0.0, in_flight)
    assert refuse(learning, 5, 2, start=0.0)
    assert learning.max_in_flight == 4


def test_refusals_before_any_success_teach_nothing() -> None:
    """Without a success there is no number of requests that the server has allowed."""
    learning = ConcurrencyEstimator()
    for moment in range(9):
        assert not learning.record_refusal(moment + 1.0, moment + 0.9, 1)
    assert learning.max_in_flight is None


def test_refusals_where_requests_come_a_little_closer_teach_nothing() -> None:
    """A rate limit refuses where the number in flight is a little above its average."""
    learning = ConcurrencyEstimator()
    for in_flight in (9, 10, 10, 10, 11) * 20:
        learning.record_success(0.0, in_flight)
    assert not refuse(learning, 12, 9, start=0.0)
    assert learning.max_in_flight is None
