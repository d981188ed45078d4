"""The pacer, on a clock that does not make anybody wait."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left

import pytest

from aioburki._throttle.pacer import SPREAD, Pacer

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.virtual_clock]


def now() -> float:
    return asyncio.get_running_loop().time()


async def send(pacer: Pacer, workers: int, seconds: float, latency: float = 0.0) -> list[float]:
    """Return when requests went, from so many workers, each taking *latency*."""
    times: list[float] = []
    end = now() + seconds

    async def work() -> None:
        while now() < end:
            await pacer.wait()
            times.append(now())
            await asyncio.sleep(latency)
            pacer.answered()

    await asyncio.gather(*(work() for _ in range(workers)))
    return times


async def sent(pacer: Pacer) -> float:
    """Send a request that is under way for no time, and return when it was sent."""
    await pacer.wait()
    pacer.answered()
    return now()


def busiest(times: list[float], seconds: float) -> int:
    """Return the most requests in any window of *seconds*."""
    return max(bisect_left(times, start + seconds) - place for place, start in enumerate(times))


@pytest.mark.parametrize("rate", [0.5, 1, 10, 50, 200])
@pytest.mark.parametrize("workers", [1, 32])
async def test_rate_is_exact_to_two_percent(rate: float, workers: int) -> None:
    """No ten seconds hold more than the rate and 2 %, and all of it is used."""
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
        await pacer.wait()
        times.append(now())
        loop.now += draw() * 0.015  # type: ignore[attr-defined]
    assert 0.98 * 2000 <= len(times) <= 1.02 * 2000


@pytest.mark.parametrize("rate", [1, 3, 5, 7.7, 20, 100])
async def test_no_ten_seconds_hold_more_than_two_percent_above(rate: float) -> None:
    """However late single wake-ups are, no window is overdrawn."""
    loop = asyncio.get_running_loop()
    pacer = Pacer(rate)
    draw = random.Random(1).random
    times: list[float] = []
    for _ in range(int(rate * 100) + 1):
        await pacer.wait()
        times.append(now())
        loop.now += draw() * 0.004  # type: ignore[attr-defined]
    assert busiest(times, 10 - 1e-6) <= rate * 10 * 1.02
    assert len(times) / (times[-1] - times[0]) >= rate * 0.98


async def test_idle_time_is_not_saved_up() -> None:
    """After an hour of rest a pull does not start with a burst."""
    pacer = Pacer(10)
    await pacer.wait()
    await asyncio.sleep(3600)
    times = await send(pacer, 32, 1)
    assert busiest(times, 0.5) <= 7


async def test_no_rate_means_no_wait() -> None:
    """Without a rate and without a refusal nothing is held back."""
    pacer = Pacer(None)
    start = now()
    assert [await pacer.wait() for _ in range(1000)] == list(range(1, 1001))
    assert now() == start


@pytest.mark.parametrize("rate", [None, 1000.0])
async def test_a_long_retry_after_pauses_everybody(rate: float | None) -> None:
    """After a 429 that asks for two seconds nobody sends before, and then not all at once."""
    pacer = Pacer(rate, draw=random.Random(1).random)
    start = now()
    assert pacer.refuse(start, 2.0)
    woken: list[float] = []

    async def work() -> None:
        await pacer.wait()
        woken.append(now())

    await asyncio.gather(*(work() for _ in range(50)))
    assert start + 2 <= min(woken)
    assert max(woken) >= start + 2 + SPREAD
    assert len({round(t, 4) for t in woken}) > 40


async def test_a_short_retry_after_is_for_the_refused_alone() -> None:
    """Up to a second only the refused request waits; a second refusal in a row is for all."""
    pacer = Pacer(None)
    pacer.refuse(await sent(pacer), 1.0)
    assert pacer.pause_left() == 0
    pacer.refuse(await sent(pacer), 1.0)
    assert pacer.pause_left() == 1.0


async def test_what_passes_between_ends_a_row_of_refusals() -> None:
    """A refusal after a success is again the first."""
    pacer = Pacer(None)
    for _ in range(3):
        pacer.refuse(await sent(pacer), 1.0)
        pacer.passed(await sent(pacer))
        pacer.forget_refusals()
    assert pacer.pause_left() == 0


@pytest.mark.parametrize("retry_after", [None, 0.3, 5.0])
async def test_the_refused_waits_for_itself(retry_after: float | None) -> None:
    """A refused request waits out its Retry-After and a little, or else a back-off that grows."""
    pacer = Pacer(None, draw=lambda: 0.5)
    waits = [pacer.wait_of_refused(refusals, retry_after) for refusals in (1, 2, 3)]
    if retry_after is None:
        assert waits == pytest.approx([0.15, 0.3, 0.6])
    else:
        assert waits == [retry_after + SPREAD / 2] * 3


async def test_pause_reaches_those_who_wait_already() -> None:
    """A refusal holds back the queue too, not only those who come later."""
    pacer = Pacer(1.0)
    await pacer.wait()
    waiting = [asyncio.create_task(pacer.wait()) for _ in range(3)]
    await asyncio.sleep(0.5)
    start = now()
    pacer.refuse(start, 10.0)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert now() >= start + 10
    await asyncio.gather(*waiting)


async def test_longer_pause_extends_a_running_one() -> None:
    """Of two pauses the later end counts, also for those who sleep already."""
    pacer = Pacer(None)
    start = now()
    await asyncio.sleep(0.1)
    pacer.refuse(start, 1.1)
    waiting = asyncio.create_task(pacer.wait())
    await asyncio.sleep(0.5)
    assert not pacer.refuse(start, 5.0)
    assert pacer.pause_left() == 5.0
    assert not pacer.refuse(start, 1.1)
    assert pacer.pause_left() == 5.0
    await waiting
    assert now() >= start + 5.6


async def test_refusals_of_one_instant_are_one_signal() -> None:
    """Fifty 429s to requests that were under way together make one pause."""
    pacer = Pacer(None, draw=lambda: 0.0)
    start = now()
    await asyncio.sleep(0.1)
    assert [pacer.refuse(start, None) for _ in range(50)] == [True] + [False] * 49
    assert pacer.pause_left() == 0
    assert pacer.refused_for(0.5) == 0.5


async def test_pauses_without_advice_grow_until_a_success() -> None:
    """Without Retry-After each refusal doubles the pause; a success starts afresh."""
    pacer = Pacer(None, draw=lambda: 0.0)
    pauses = []
    start = now()
    for _ in range(4):
        pacer.refuse(await sent(pacer), None)
        pauses.append(pacer.pause_left())
    assert pauses == [0, 0.5, 1.0, 2.0]
    assert pacer.refused_for(0) == now() + 2 - start
    pacer.forget_refusals()
    assert pacer.refused_for(0) == 0.0
    pauses = []
    for _ in range(2):
        pacer.refuse(await sent(pacer), None)
        pauses.append(pacer.pause_left())
    assert pauses == [0, 0.5]


async def test_cancelled_wait_takes_no_turn() -> None:
    """Waiters that are cancelled leave their place to those behind them."""
    pacer = Pacer(1.0)
    await pacer.wait()
    start = now()
    waiting = [asyncio.create_task(pacer.wait()) for _ in range(10)]
    await asyncio.sleep(0.1)
    for task in waiting[:-1]:
        task.cancel()
    await asyncio.wait(waiting)
    assert not waiting[-1].cancelled()
    assert now() - start <= 1.0


async def test_tiny_waits_do_not_hammer() -> None:
    """A server that asks for a microsecond is asked again a tenth of a second later."""
    pacer = Pacer(None, draw=lambda: 0.0)
    assert pacer.wait_of_refused(1, 1e-6) == pytest.approx(0.1)
    pacer.refuse(await sent(pacer), 1e-6)
    pacer.refuse(await sent(pacer), 1e-6)
    assert pacer.pause_left() == pytest.approx(0.1)


async def test_refusals_long_ago_are_another_story() -> None:
    """Time in which nobody wanted anything is no time under refusals."""
    pacer = Pacer(None, draw=lambda: 0.0)
    pacer.refuse(now(), 5.0)
    await asyncio.sleep(50)
    pacer.refuse(now(), 5.0)
    assert pacer.refused_for(0) == 55
    await asyncio.sleep(3600)
    pacer.refuse(now(), 5.0)
    assert pacer.refused_for(0) == 5
