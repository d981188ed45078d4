"""The pacer, on a virtual clock."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left

import pytest

from aioburki._requests.retry_policy import pause_for_all
from aioburki._throttle.pacer import Pacer
from aioburki._throttle.pacer_config import PacerConfig
from aioburki._throttle.refusals import Refusal
from aioburki._throttle.server_quota import QuotaHeaders

JITTER = PacerConfig().pause_jitter

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.virtual_clock]


def now() -> float:
    return asyncio.get_running_loop().time()


async def send(pacer: Pacer, workers: int, seconds: float, latency: float = 0.0) -> list[float]:
    """Return when requests went, from so many workers, each taking *latency*."""
    times: list[float] = []
    end = now() + seconds

    async def work() -> None:
        while now() < end:
            await pacer.acquire()
            times.append(now())
            await asyncio.sleep(latency)
            pacer.release()

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


async def sent(pacer: Pacer) -> float:
    """Send a request that is answered at once, and return when it was sent."""
    await pacer.acquire()
    pacer.release()
    return now()


def refuse(pacer: Pacer, sent: float, retry_after: float | None) -> bool:
    """Record a 429 with the pause that the retry policy decides; return whether it is new."""
    refusal = pacer.refusal(sent)
    pacer.record_refusal(sent, pause_for_all(refusal, retry_after, lambda: 0.0))
    return refusal.is_new


def refused_for(pacer: Pacer) -> float:
    """Return the seconds of 429s alone, to the end of the pause."""
    refusal = pacer.refusal(now())
    return refusal.seconds + refusal.pause_left


def busiest(times: list[float], seconds: float) -> int:
    """Return the most requests in any *seconds*."""
    return max(bisect_left(times, start + seconds) - place for place, start in enumerate(times))


async def test_refusal_is_described_without_being_recorded() -> None:
    """What a 429 would mean can be asked any number of times."""
    pacer = Pacer(None, draw=lambda: 0.0)
    first = Refusal(is_new=True, is_repeated=False, number=1, seconds=0.0, pause_left=0.0)
    at = await sent(pacer)
    assert [pacer.refusal(at) for _ in range(3)] == [first] * 3
    pacer.record_refusal(at, 4.0)
    await asyncio.sleep(1)
    again = Refusal(is_new=True, is_repeated=True, number=2, seconds=1.0, pause_left=3.0)
    assert [pacer.refusal(now()) for _ in range(3)] == [again] * 3
    assert not pacer.refusal(at - 1).is_new


@pytest.mark.no_cover
@pytest.mark.parametrize("rate", [0.5, 1, 10, 50, 200])
@pytest.mark.parametrize("workers", [1, 32])
async def test_rate_is_exact_to_two_percent(rate: float, workers: int) -> None:
    """No ten seconds hold more than the rate plus 2 %, and 98 % of the rate is used."""
    times = await send(Pacer(rate), workers, 40)
    assert busiest(times, 10 - 1e-6) <= rate * 10 * 1.02
    assert len(times) >= 0.98 * rate * 40


async def test_late_wake_ups_cost_no_throughput() -> None:
    """A loop that runs late by a few milliseconds each time still keeps the rate."""
    loop = asyncio.get_running_loop()
    pacer = Pacer(100)
    draw = random.Random(1).random
    times: list[float] = []
    end = now() + 20
    while now() < end:
        await pacer.acquire()
        times.append(now())
        loop.now += draw() * 0.015  # type: ignore[attr-defined]
    assert 0.98 * 2000 <= len(times) <= 1.02 * 2000


@pytest.mark.no_cover
@pytest.mark.parametrize("rate", [1, 3, 5, 7.7, 20, 100])
async def test_no_ten_seconds_hold_more_than_two_percent_above(rate: float) -> None:
    """However late single wake-ups are, no ten seconds exceed the rate by more than 2 %."""
    loop = asyncio.get_running_loop()
    pacer = Pacer(rate)
    draw = random.Random(1).random
    times: list[float] = []
    for _ in range(int(rate * 100) + 1):
        await pacer.acquire()
        times.append(now())
        loop.now += draw() * 0.004  # type: ignore[attr-defined]
    assert busiest(times, 10 - 1e-6) <= rate * 10 * 1.02
    assert len(times) / (times[-1] - times[0]) >= rate * 0.98


async def test_idle_time_is_not_saved_up() -> None:
    """After an idle hour a pull does not start with a burst."""
    pacer = Pacer(10)
    await pacer.acquire()
    await asyncio.sleep(3600)
    times = await send(pacer, 32, 1)
    assert busiest(times, 0.5) <= 7


async def test_no_rate_means_no_wait() -> None:
    """Without a rate and without a 429 no request waits."""
    pacer = Pacer(None)
    start = now()
    assert [await pacer.acquire() for _ in range(1000)] == list(range(1, 1001))
    assert now() == start


@pytest.mark.parametrize("rate", [None, 1000.0])
async def test_long_retry_after_pauses_all_requests(rate: float | None) -> None:
    """After a 429 that asks for two seconds no request is sent before, and then not all at once."""
    pacer = Pacer(rate, draw=random.Random(1).random)
    start = now()
    assert refuse(pacer, start, 2.0)
    woken: list[float] = []

    async def work() -> None:
        await pacer.acquire()
        woken.append(now())

    await asyncio.gather(*(work() for _ in range(50)))
    assert start + 2 <= min(woken)
    assert max(woken) >= start + 2 + JITTER
    assert len({round(t, 4) for t in woken}) > 40


async def test_short_retry_after_pauses_only_the_refused_request() -> None:
    """Up to a second only the refused request waits; a second 429 in a row pauses all."""
    pacer = Pacer(None)
    refuse(pacer, await sent(pacer), 1.0)
    assert pacer.pause_left() == 0
    refuse(pacer, await sent(pacer), 1.0)
    assert pacer.pause_left() == 1.0


async def test_success_ends_a_row_of_429s() -> None:
    """A 429 after a success is again the first."""
    pacer = Pacer(None)
    for _ in range(3):
        refuse(pacer, await sent(pacer), 1.0)
        pacer.record_success(await sent(pacer))
        pacer.reset_refusals()
    assert pacer.pause_left() == 0


async def test_pause_applies_to_requests_that_wait_already() -> None:
    """A 429 holds back the queue too, not only requests that come later."""
    pacer = Pacer(1.0)
    await pacer.acquire()
    waiting = [asyncio.create_task(pacer.acquire()) for _ in range(3)]
    await asyncio.sleep(0.5)
    start = now()
    refuse(pacer, start, 10.0)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert now() >= start + 10
    await asyncio.gather(*waiting)


async def test_longer_pause_extends_a_running_one() -> None:
    """Of two pauses the later end counts, also for requests that wait already."""
    pacer = Pacer(None)
    start = now()
    await asyncio.sleep(0.1)
    refuse(pacer, start, 1.1)
    waiting = asyncio.create_task(pacer.acquire())
    await asyncio.sleep(0.5)
    assert not refuse(pacer, start, 5.0)
    assert pacer.pause_left() == 5.0
    assert not refuse(pacer, start, 1.1)
    assert pacer.pause_left() == 5.0
    await waiting
    assert now() >= start + 5.6


async def test_429s_of_one_instant_are_one_signal() -> None:
    """Of fifty 429s to requests that were in flight together one is new."""
    pacer = Pacer(None, draw=lambda: 0.0)
    start = now()
    await asyncio.sleep(0.1)
    assert [refuse(pacer, start, None) for _ in range(50)] == [True] + [False] * 49
    assert pacer.pause_left() == 0
    assert pacer.refusal(now()).seconds == 0


async def test_pauses_without_retry_after_grow_until_a_success() -> None:
    """Without Retry-After each 429 doubles the pause; a success resets it."""
    pacer = Pacer(None, draw=lambda: 0.0)
    pauses = []
    start = now()
    for _ in range(4):
        refuse(pacer, await sent(pacer), None)
        pauses.append(pacer.pause_left())
    assert pauses == [0, 0.5, 1.0, 2.0]
    assert refused_for(pacer) == now() + 2 - start
    pacer.reset_refusals()
    assert pacer.refusal(now()).seconds == 0.0
    pauses = []
    for _ in range(2):
        refuse(pacer, await sent(pacer), None)
        pauses.append(pacer.pause_left())
    assert pauses == [0, 0.5]


async def test_cancelled_wait_takes_no_time_slot() -> None:
    """Ten waiters of which nine are cancelled wait no longer than one."""
    pacer = Pacer(1.0)
    await pacer.acquire()
    start = now()
    waiting = [asyncio.create_task(pacer.acquire()) for _ in range(10)]
    await asyncio.sleep(0.1)
    for task in waiting[:-1]:
        task.cancel()
    await asyncio.wait(waiting)
    assert not waiting[-1].cancelled()
    assert now() - start <= 1.0


async def test_tiny_retry_after_is_a_tenth_of_a_second() -> None:
    """A repeated 429 that asks for a microsecond pauses for a tenth of a second."""
    pacer = Pacer(None, draw=lambda: 0.0)
    refuse(pacer, await sent(pacer), 1e-6)
    refuse(pacer, await sent(pacer), 1e-6)
    assert pacer.pause_left() == pytest.approx(0.1)


async def test_429_long_after_the_last_begins_a_new_row() -> None:
    """Time in which no request was sent is not counted as refused."""
    pacer = Pacer(None, draw=lambda: 0.0)
    refuse(pacer, now(), 5.0)
    await asyncio.sleep(50)
    refuse(pacer, now(), 5.0)
    assert refused_for(pacer) == 55
    await asyncio.sleep(3600)
    refuse(pacer, now(), 5.0)
    assert refused_for(pacer) == 5


async def test_quota_alone_makes_no_wait() -> None:
    """How long to wait for a quota is the caller's policy; without one there is no wait."""
    pacer = Pacer(None)
    number = await pacer.acquire()
    pacer.record_quota(QuotaHeaders(0, 60.0, 100), number)
    pacer.release()
    start = asyncio.get_running_loop().time()
    await pacer.acquire()
    assert asyncio.get_running_loop().time() - start < 1
