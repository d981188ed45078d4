"""The four situations a client lives in, and ends in every way, over real connections."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pages import KEY
from wire import Reply, WireServer, page_reply, wire_server

from aioburki import BurkiClient, ClientClosedError, Contacts, Event

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.eager_too,
    pytest.mark.usefixtures("nothing_left"),
]


def answer(number: int, attempt: int, per_page: int) -> Reply:
    return page_reply(number, per_page, 2000)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[WireServer]:
    async with wire_server(answer, latency=0.003) as server:
        before = len(os.listdir("/proc/self/fd"))
        yield server
        gc.collect()
        for _ in range(100):  # the server notices and closes its side a little later
            if len(os.listdir("/proc/self/fd")) == before:
                break
            await asyncio.sleep(0.01)
        assert server.open_connections == 0
        assert server.in_flight == 0
        assert len(os.listdir("/proc/self/fd")) == before


@pytest_asyncio.fixture
async def burki(server: WireServer) -> AsyncIterator[BurkiClient]:
    """Open in one task and close in another, as fixtures do."""
    client = BurkiClient(KEY, base_url=server.url)
    async with client:
        yield client


async def works(burki: BurkiClient) -> bool:
    return len(await burki.contacts(42, per_page=50)) == 2000


async def test_service(server: WireServer) -> None:
    """`async with` once, pulls side by side."""
    async with BurkiClient(KEY, base_url=server.url) as burki:
        assert all(await asyncio.gather(*(works(burki) for _ in range(4))))


async def test_notebook(server: WireServer) -> None:
    """Made in one task, used in others, closed in yet another."""

    async def cell_1() -> BurkiClient:
        return BurkiClient(KEY, base_url=server.url)

    burki = await asyncio.create_task(cell_1())
    assert await asyncio.create_task(works(burki))
    iterator = aiter(burki.contacts(42, per_page=50))

    async def cell_3() -> int:
        return (await anext(iterator)).id

    assert await asyncio.create_task(cell_3()) == 1
    assert await asyncio.create_task(cell_3()) == 2
    await asyncio.create_task(burki.aclose())
    with pytest.raises(ClientClosedError):
        for _ in range(2000):
            await asyncio.create_task(cell_3())


async def test_fixture(burki: BurkiClient) -> None:
    """Set-up and tear-down run in different tasks."""
    assert await works(burki)


@pytest.mark.parametrize("taken", [1, 50, 51, 200])
async def test_break(burki: BurkiClient, server: WireServer, taken: int) -> None:
    """After a break the requests stop within a few turns of the loop, and the client works."""
    seen = 0
    async for _ in burki.contacts(42, per_page=50):
        seen += 1
        if seen == taken:
            break
    for _ in range(10):
        await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
    asked = len(server.requests)
    await asyncio.sleep(0.05)
    assert len(server.requests) == asked
    assert await works(burki)


async def test_break_out_of_a_stream_leaves_nothing_at_once(burki: BurkiClient) -> None:
    """When the block of a stream is left, no task is alive, without a turn of the loop."""
    async with burki.contacts(42, per_page=50).stream() as stream:
        async for _ in stream:
            break
    assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
    assert await works(burki)


async def test_abandoned_iterator_stops_by_itself(burki: BurkiClient, server: WireServer) -> None:
    """An iterator that is kept but not continued fetches a bounded way ahead, then rests."""
    iterator = aiter(burki.contacts(42, per_page=20))
    await anext(iterator)
    while len(server.requests) < 1 + 4 * 8:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(server.requests) == 1 + 4 * 8
    del iterator


Deadline = Callable[[BurkiClient], "asyncio.Future[object]"]


async def _await_all(burki: BurkiClient) -> None:
    await burki.contacts(42, per_page=50)


async def _loop_over(burki: BurkiClient) -> None:
    async for _ in burki.contacts(42, per_page=50):
        pass


async def _loop_and_sleep(burki: BurkiClient) -> None:
    async for _ in burki.contacts(42, per_page=50):
        await asyncio.sleep(0.01)


async def _stream(burki: BurkiClient) -> None:
    async with burki.contacts(42, per_page=50).stream() as stream:
        async for _ in stream:
            pass


async def _count(burki: BurkiClient) -> None:
    while True:
        await burki.contacts(42).count()


@pytest.mark.parametrize("pull", [_await_all, _loop_over, _loop_and_sleep, _stream, _count])
async def test_deadline_comes_out_unchanged(
    burki: BurkiClient, pull: Callable[[BurkiClient], asyncio.Future[None]]
) -> None:
    """`asyncio.timeout` round a pull raises its own TimeoutError, and the client works on."""
    for delay in (0.0, 0.002, 0.01, 0.02):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(delay):
                await pull(burki)
        assert type(caught.value) is TimeoutError
    assert await works(burki)


async def test_exception_in_the_loop_comes_out_unchanged(burki: BurkiClient) -> None:
    """What the consumer raises is what the consumer gets, chained to nothing."""
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async for _ in burki.contacts(42, per_page=50):
            raise error
    assert caught.value is error
    assert error.__context__ is None
    assert await works(burki)


async def test_cancellation_at_any_moment(burki: BurkiClient, server: WireServer) -> None:
    """200 pulls cancelled at random, some of them twice, leave every lane usable."""
    draw = random.Random(1)
    for _ in range(200):
        pull = asyncio.ensure_future(burki.contacts(42, per_page=50))
        await asyncio.sleep(draw.random() * 0.03)
        pull.cancel()
        if draw.random() < 0.3:
            await asyncio.sleep(0)
            pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
    await asyncio.sleep(0.1)  # in which the server takes in what was opened and cut off last
    before = server.connections
    contacts = await burki.contacts(42, per_page=50)
    assert len(contacts) == 2000
    assert contacts.report.retries == 0  # no lane had to be found out to be stuck
    assert server.connections - before <= 8


async def test_cancelled_twice_a_pull_is_forgotten(burki: BurkiClient) -> None:
    """A second cancellation during the clean-up leaves nothing behind in the client either."""
    for _ in range(20):
        pull = asyncio.ensure_future(burki.contacts(42, per_page=50))
        await asyncio.sleep(0.01)
        for _ in range(3):
            pull.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await pull
    assert burki._running == set()


async def test_closing_in_mid_pull(server: WireServer) -> None:
    """Closing ends within a second; pulls get ClientClosedError; a second time is nothing."""
    burki = BurkiClient(KEY, base_url=server.url, concurrency=50)
    server.latency = 30
    pulls = [asyncio.ensure_future(burki.contacts(42)) for _ in range(50)]
    while server.in_flight < 50:
        await asyncio.sleep(0.01)
    start = asyncio.get_running_loop().time()
    await asyncio.gather(burki.aclose(), burki.aclose())
    assert asyncio.get_running_loop().time() - start < 1
    for outcome in await asyncio.gather(*pulls, return_exceptions=True):
        assert isinstance(outcome, ClientClosedError)
    await burki.aclose()
    with pytest.raises(ClientClosedError):
        await burki.contacts(42)
    with pytest.raises(ClientClosedError):
        async with burki:
            pass


async def test_contacts_made_before_closing_are_closed_too(server: WireServer) -> None:
    """A query outlives its client, but sends nothing any more."""
    burki = BurkiClient(KEY, base_url=server.url)
    contacts = burki.contacts(42)
    await burki.aclose()
    for use in (contacts.count, contacts._collect, contacts.pages().__anext__):
        with pytest.raises(ClientClosedError, match="Make a new BurkiClient"):
            await use()
    assert server.requests == []


async def test_closing_while_a_stream_is_suspended(server: WireServer) -> None:
    """A consumer that sleeps while the client is closed gets the error when it goes on."""
    async with BurkiClient(KEY, base_url=server.url) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            with pytest.raises(ClientClosedError, match="closed during the pull"):
                async for _ in stream:
                    await burki.aclose()


async def test_failing_task_group(burki: BurkiClient) -> None:
    """A sibling that fails cancels a pull in a TaskGroup, and the group says only that."""

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise KeyError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(_loop_over(burki))
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert await works(burki)


async def test_loop_that_ends_right_after_a_break(server: WireServer) -> None:
    """`asyncio.run` may end with a pull broken off; nothing complains."""

    async def main() -> None:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            async for _ in burki.contacts(42, per_page=10):
                break

    def run() -> None:
        asyncio.run(main(), debug=True)

    await asyncio.to_thread(run)


async def test_cancelled_close_closes_all_the_same(server: WireServer) -> None:
    """A cancellation in mid-close leaves no connection, and is passed on."""
    burki = BurkiClient(KEY, base_url=server.url)
    assert await works(burki)
    for _ in range(3):
        closing = asyncio.create_task(burki.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait((closing,))
    await burki.aclose()


async def test_closing_right_after_a_break_waits_for_the_requests(server: WireServer) -> None:
    """When `async with` returns, nothing is under way, not even of a pull just broken off."""
    server.latency = 0.05
    async with BurkiClient(KEY, base_url=server.url) as burki:
        async for _ in burki.contacts(42, per_page=50):
            break
    assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]


async def test_users_client_survives_what_cancels_pulls(server: WireServer) -> None:
    """Deadlines and breaks cost a client of the user's none of its connections."""
    draw = random.Random(1)
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    async with httpx.AsyncClient(limits=limits, timeout=5) as http:
        async with BurkiClient(KEY, base_url=server.url, http_client=http) as burki:
            for _ in range(150):
                with suppress(TimeoutError):
                    async with asyncio.timeout(draw.random() * 0.02):
                        await burki.contacts(42, per_page=50)
            assert await works(burki)
        answers = [http.get(f"{server.url}/?page=1&per_page=1") for _ in range(8)]
        assert [answer.status_code for answer in await asyncio.gather(*answers)] == [200] * 8


@pytest.mark.parametrize("kind", ["await", "count", "iterate"])
async def test_closing_in_the_very_moment_a_page_comes(server: WireServer, kind: str) -> None:
    """A consumer that was about to be handed a page is told that the client is closed."""
    arrived = asyncio.Event()

    def note(_: Event) -> None:
        arrived.set()

    burki = BurkiClient(KEY, base_url=server.url, on_event=note)
    contacts = burki.contacts(42)
    uses: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "await": contacts._collect,
        "count": contacts.count,
        "iterate": lambda: _take_one(contacts),
    }
    use = asyncio.create_task(uses[kind]())
    await arrived.wait()
    await burki.aclose()
    with pytest.raises(ClientClosedError):
        await use


async def _take_one(contacts: Contacts) -> object:
    async for contact in contacts:
        return contact
    return None
