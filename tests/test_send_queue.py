"""The send queue: the earliest page first, all pulls in turn, and no slot lost."""

from __future__ import annotations

import asyncio
import itertools

import httpx
import pytest
from limiters import Bucket
from pages import KEY, page

from aioburki import BurkiClient
from aioburki._requests.send_queue import SendQueue

pytestmark = pytest.mark.asyncio

PULL, OTHER = object(), object()


async def send_all(
    queue: SendQueue, requests: list[tuple[object, int]]
) -> tuple[list[tuple[object, int]], list[asyncio.Task[None]]]:
    """Let *requests* wait, in this order; return those that have been sent, and their tasks."""
    sent: list[tuple[object, int]] = []

    async def send(pull: object, place: int) -> None:
        await queue.acquire(pull, place)
        sent.append((pull, place))
        queue.end_turn()

    tasks = [asyncio.create_task(send(*request)) for request in requests]
    await asyncio.sleep(0)
    return sent, tasks


async def test_earliest_page_is_sent_first() -> None:
    """A page that comes back after a refusal overtakes the pages behind it."""
    queue = SendQueue(1)
    await queue.acquire(PULL, 0)
    queue.end_turn()
    sent, tasks = await send_all(queue, [(PULL, 3), (PULL, 4), (PULL, 1), (PULL, -1)])
    for _ in range(4):
        queue.release()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert [place for _, place in sent] == [-1, 1, 3, 4]


async def test_pulls_take_turns() -> None:
    """A pull with many waiting pages does not hold back another one."""
    queue = SendQueue(10)
    queue.end_slow_start()  # no slow start any more
    await queue.acquire(PULL, 0)
    sent, tasks = await send_all(queue, [(PULL, 1), (PULL, 2), (PULL, 3), (OTHER, 8), (OTHER, 9)])
    assert not sent  # one request at a time waits for the pacer
    queue.end_turn()
    await asyncio.gather(*tasks)
    assert sent == [(PULL, 1), (OTHER, 8), (PULL, 2), (OTHER, 9), (PULL, 3)]


async def test_trial_requests_are_sent_in_the_order_in_which_they_came() -> None:
    """While the circuit is open no page is preferred, so that none uses up its attempts alone."""
    queue = SendQueue(10, is_open=lambda: True)
    queue.end_slow_start()
    await queue.acquire(PULL, 0)
    requests = [(PULL, 5), (PULL, 4), (OTHER, 1), (PULL, 3)]
    sent, tasks = await send_all(queue, requests)
    queue.end_turn()
    await asyncio.gather(*tasks)
    assert sent == requests


async def test_slots_are_counted_with_the_requests_that_wait() -> None:
    """Requests that wait for their turn have a slot, as many as are free."""
    queue = SendQueue(2)
    assert queue.has_slot()
    await queue.acquire(PULL, 0)
    assert queue.has_slot()
    _, tasks = await send_all(queue, [(PULL, 1)])
    assert not queue.has_slot()
    queue.end_turn()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("turns", [0, 1])
async def test_cancelled_waits_pass_the_turn_on(turns: int) -> None:
    """A request that is cancelled while it waits, or in the moment of its turn, blocks no other."""
    queue = SendQueue(1)
    await queue.acquire(PULL, 0)
    queue.end_turn()
    sent, tasks = await send_all(queue, [(PULL, 1), (PULL, 2)])
    for _ in range(turns):
        queue.release()
    tasks[0].cancel()
    for _ in range(1 - turns):
        queue.release()
    await tasks[1]
    assert tasks[0].cancelled()
    assert sent == [(PULL, 2)]
    queue.release()
    await asyncio.wait_for(queue.acquire(PULL, 3), 1)


async def test_cancelled_requests_leave_nothing_behind() -> None:
    """When all that wait are cancelled, the queue holds none of them."""
    queue = SendQueue(1)
    await queue.acquire(PULL, 0)
    _, tasks = await send_all(queue, [(PULL, 1), (OTHER, 2)])
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    queue.end_turn()
    queue.release()
    assert not queue._heaps
    await asyncio.wait_for(queue.acquire(PULL, 3), 1)


@pytest.mark.long
@pytest.mark.virtual_clock
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize(("rate", "longest"), [(5, 3.0), (1, 15.0)])
@pytest.mark.parametrize("pulls", [1, 4])
async def test_refused_pages_do_not_wait_for_the_pages_behind_them(
    complete: bool, rate: float, longest: float, pulls: int
) -> None:
    """At 32 in flight the consumer waits for 15 intervals of the limit and pull at most."""
    loop = asyncio.get_running_loop()
    start, bucket, size = loop.time(), Bucket(rate, 5), 200 // pulls

    async def answer(request: httpx.Request) -> httpx.Response:
        is_refused = bucket.take(loop.time() - start) is not None
        await asyncio.sleep(0.1)
        if is_refused:
            return httpx.Response(429)
        number, per_page = (int(request.url.params[name]) for name in ("page", "per_page"))
        return httpx.Response(200, json=page(number, per_page, range(10 * size)))

    async def longest_stall(burki: BurkiClient, campaign: int) -> float:
        times = [loop.time()]
        async for _ in burki.contacts(campaign, per_page=10, complete=complete).pages():
            times.append(loop.time())
        return max(after - before for before, after in itertools.pairwise(times))

    transport = httpx.MockTransport(answer)
    async with BurkiClient(KEY, concurrency=32, transport=transport) as burki:
        stalls = await asyncio.gather(*(longest_stall(burki, 1 + each) for each in range(pulls)))
    assert max(stalls) <= longest * pulls
