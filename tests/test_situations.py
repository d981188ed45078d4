"""How a client is used, and the ways in which a pull ends, over real connections."""

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
        for _ in range(100):  # until the server has closed its side
            if len(os.listdir("/proc/self/fd")) == before:
                break
            await asyncio.sleep(0.01)
        assert server.open_connections == 0
        assert server.in_flight == 0
        assert len(os.listdir("/proc/self/fd")) == before


@pytest_asyncio.fixture
async def burki(server: WireServer) -> AsyncIterator[BurkiClient]:
    """Open the client in one task and close it in another, as async fixtures do."""
    client = BurkiClient(KEY, base_url=server.url)
    async with client:
        yield client


async def can_pull(burki: BurkiClient) -> bool:
    return len(await burki.contacts(42, per_page=50)) == 2000


async def test_service(server: WireServer) -> None:
    """A client in one `async with` block serves concurrent pulls."""
    async with BurkiClient(KEY, base_url=server.url) as burki:
        assert all(await asyncio.gather(*(can_pull(burki) for _ in range(4))))


async def test_notebook(server: WireServer) -> None:
    """A client can be made, used and closed in different tasks."""

    async def cell_1() -> BurkiClient:
        return BurkiClient(KEY, base_url=server.url)

    burki = await asyncio.create_task(cell_1())
    assert await asyncio.create_task(can_pull(burki))
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
    """A client works in a test whose set-up and tear-down run in different tasks."""
    assert await can_pull(burki)


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
    sent = len(server.requests)
    await asyncio.sleep(0.05)
    assert len(server.requests) == sent
    assert await can_pull(burki)


async def test_break_out_of_a_stream_ends_its_tasks_at_once(burki: BurkiClient) -> None:
    """When the `async with` block of a stream ends, no task of the pull is running."""
    async with burki.contacts(42, per_page=50).stream() as stream:
        async for _ in stream:
            break
    assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
    assert await can_pull(burki)


async def test_abandoned_iterator_stops_prefetching(burki: BurkiClient, server: WireServer) -> None:
    """An iterator that is kept but not advanced prefetches a bounded number of pages."""
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
async def test_deadline_raises_timeout_error(
    burki: BurkiClient, pull: Callable[[BurkiClient], asyncio.Future[None]]
) -> None:
    """`asyncio.timeout` around a pull raises its own TimeoutError; the client can still pull."""
    for delay in (0.0, 0.002, 0.01, 0.02):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(delay):
                await pull(burki)
        assert type(caught.value) is TimeoutError
    assert await can_pull(burki)


async def test_exception_in_the_loop_is_propagated(burki: BurkiClient) -> None:
    """An exception in an `async for` body is propagated unchanged and chained to nothing."""
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async for _ in burki.contacts(42, per_page=50):
            raise error
    assert caught.value is error
    assert error.__context__ is None
    assert await can_pull(burki)


async def test_cancellation_at_any_moment(burki: BurkiClient, server: WireServer) -> None:
    """After 200 pulls cancelled at random moments, every connection is usable."""
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
    await asyncio.sleep(0.1)  # until the server has accepted the last connections
    before = server.connections
    contacts = await burki.contacts(42, per_page=50)
    assert len(contacts) == 2000
    assert contacts.report.retries == 0  # no request was sent over a broken connection
    assert server.connections - before <= 8


async def test_pull_cancelled_twice_is_removed_from_the_client(burki: BurkiClient) -> None:
    """A second cancellation, during the clean-up, leaves no pull registered in the client."""
    for _ in range(20):
        pull = asyncio.ensure_future(burki.contacts(42, per_page=50))
        await asyncio.sleep(0.01)
        for _ in range(3):
            pull.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await pull
    assert burki._running == set()


async def test_closing_during_pulls(server: WireServer) -> None:
    """`aclose` takes less than a second, pulls raise ClientClosedError, and it is idempotent."""
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


async def test_contacts_made_before_closing_raise(server: WireServer) -> None:
    """A `Contacts` of a closed client raises ClientClosedError and sends no request."""
    burki = BurkiClient(KEY, base_url=server.url)
    contacts = burki.contacts(42)
    await burki.aclose()
    for use in (contacts.count, contacts.to_list, contacts.pages().__anext__):
        with pytest.raises(ClientClosedError, match="Make a new BurkiClient"):
            await use()
    assert server.requests == []


async def test_closing_while_a_stream_is_suspended(server: WireServer) -> None:
    """A consumer gets ClientClosedError at the next contact after its client was closed."""
    async with BurkiClient(KEY, base_url=server.url) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            with pytest.raises(ClientClosedError, match="closed during the pull"):
                async for _ in stream:
                    await burki.aclose()


async def test_failing_task_group(burki: BurkiClient) -> None:
    """A task group with a pull and a failing task raises the error of that task only."""

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise KeyError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(_loop_over(burki))
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert await can_pull(burki)


async def test_loop_that_ends_right_after_a_break(server: WireServer) -> None:
    """`asyncio.run` may end right after a break out of a pull, without a warning."""

    async def main() -> None:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            async for _ in burki.contacts(42, per_page=10):
                break

    def run() -> None:
        asyncio.run(main(), debug=True)

    await asyncio.to_thread(run)


async def test_cancelled_close_closes_all_connections(server: WireServer) -> None:
    """An `aclose` that is cancelled leaves no connection open."""
    burki = BurkiClient(KEY, base_url=server.url)
    assert await can_pull(burki)
    for _ in range(3):
        closing = asyncio.create_task(burki.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait((closing,))
    await burki.aclose()


async def test_closing_right_after_a_break_waits_for_the_requests(server: WireServer) -> None:
    """When `async with` ends, no request is in flight, even right after a break."""
    server.latency = 0.05
    async with BurkiClient(KEY, base_url=server.url) as burki:
        async for _ in burki.contacts(42, per_page=50):
            break
    assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]


async def test_http_client_survives_cancelled_pulls(server: WireServer) -> None:
    """Deadlines of pulls leave all connections of the user's `http_client` usable."""
    draw = random.Random(1)
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    async with httpx.AsyncClient(limits=limits, timeout=5) as http:
        async with BurkiClient(KEY, base_url=server.url, http_client=http) as burki:
            for _ in range(150):
                with suppress(TimeoutError):
                    async with asyncio.timeout(draw.random() * 0.02):
                        await burki.contacts(42, per_page=50)
            assert await can_pull(burki)
        requests = [http.get(f"{server.url}/?page=1&per_page=1") for _ in range(8)]
        assert [response.status_code for response in await asyncio.gather(*requests)] == [200] * 8


@pytest.mark.parametrize("kind", ["await", "count", "iterate"])
async def test_closing_when_a_page_has_just_arrived(server: WireServer, kind: str) -> None:
    """Closing after a page arrived, but before it is delivered, raises ClientClosedError."""
    arrived = asyncio.Event()

    def set_arrived(_: Event) -> None:
        arrived.set()

    burki = BurkiClient(KEY, base_url=server.url, on_event=set_arrived)
    contacts = burki.contacts(42)
    uses: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "await": contacts.to_list,
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
