"""One client, made outside of any event loop, over several of them, one after another."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from faults import STALL, TOTAL, FaultServer, respond
from pages import KEY
from virtual_clock import VirtualLoop

from aioburki import BurkiClient, ClientClosedError
from aioburki.sandbox import Sandbox

# Each test runs event loops of its own, on the thread of pytest, which has none.


def run(main: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(main, debug=True)
    finally:
        gc.collect()  # what was left open warns now


async def pull(burki: BurkiClient) -> int:
    return len(await burki.contacts(42, per_page=10))


def over_sockets(faults: FaultServer, kind: str) -> BurkiClient:
    if kind == "transport":
        return BurkiClient(KEY, base_url=faults.url, transport=httpx.AsyncHTTPTransport())
    return BurkiClient(KEY, base_url=faults.url, trust_env=kind == "trust_env")


KINDS = ["default", "trust_env", "transport"]


@pytest.mark.parametrize("kind", KINDS)
def test_client_is_used_in_one_run_after_another(faults: FaultServer, kind: str) -> None:
    """Each `asyncio.run` leaves no connection and no warning, and the next one works."""
    faults.listen()
    burki = over_sockets(faults, kind)
    contacts = burki.contacts(42, per_page=10)
    for _ in range(3):
        assert run(pull(burki)) == TOTAL
        assert run(contacts.to_list()) == list(run(contacts.to_list()))
        assert faults.connections_left() == 0
    run(burki.aclose())
    with pytest.raises(ClientClosedError):
        run(pull(burki))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["cancelled", "failed", "interrupted"])
def test_run_after_one_that_ended_half_way(faults: FaultServer, kind: str, how: str) -> None:
    """A run whose pull was cancelled, or which ended by an exception, leaves the client usable."""
    faults.listen({2: [STALL]})
    burki = over_sockets(faults, kind)

    async def half_way() -> None:
        task = asyncio.create_task(pull(burki))
        while "stall" not in faults.events:
            await asyncio.sleep(0.01)
        if how == "cancelled":
            task.cancel()
            await task
        raise KeyError if how == "failed" else KeyboardInterrupt

    with pytest.raises((asyncio.CancelledError, KeyError, KeyboardInterrupt)):
        run(half_way())
    assert not burki._running
    assert faults.connections_left() == 0
    assert run(pull(burki)) == TOTAL
    run(burki.aclose())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the connections of the user's client
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_connections_of_an_http_client_are_refused_in_the_next_run(faults: FaultServer) -> None:
    """An `http_client` with connections of an ended loop is refused, by an error that says why."""
    faults.listen()
    http = httpx.AsyncClient()
    burki = BurkiClient(KEY, base_url=faults.url, http_client=http)
    assert asyncio.run(pull(burki)) == TOTAL
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"http_client .* one client for each loop"):
            asyncio.run(asyncio.wait_for(pull(burki), 20))
    del http, burki
    gc.collect()


def test_http_client_without_connections_is_used_in_the_next_run(faults: FaultServer) -> None:
    """An `http_client` that keeps no connections, or has no sockets, works in several runs."""
    faults.listen({"*": 12 * [respond(404, connection="close")]})
    http = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))
    burki = BurkiClient(KEY, base_url=faults.url, http_client=http)
    for _ in range(2):
        with pytest.raises(Exception, match="HTTP 404"):
            run(pull(burki))
    http = httpx.AsyncClient(transport=Sandbox(30).transport)
    burki = BurkiClient(KEY, http_client=http)
    assert [run(pull(burki)) for _ in range(2)] == [30, 30]


@asynccontextmanager
async def in_another_thread(burki: BurkiClient) -> AsyncIterator[None]:
    """Run an event loop in a thread, in which *burki* has been used."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(pull(burki), loop))
        yield
        ends = asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop)
        await asyncio.wrap_future(ends)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


@pytest.mark.parametrize("kind", ["sandbox", "http_client", *KINDS])
def test_two_loops_at_once_are_refused(faults: FaultServer, kind: str) -> None:
    """A client in use on a running loop is refused on another, whatever sends its requests."""
    faults.listen()
    make: dict[str, Callable[[], BurkiClient]] = {
        "sandbox": lambda: BurkiClient(KEY, transport=Sandbox(20).transport),
        "http_client": lambda: BurkiClient(
            KEY, http_client=httpx.AsyncClient(transport=Sandbox(20).transport)
        ),
    }
    burki = make.get(kind, lambda: over_sockets(faults, kind))()

    async def main() -> None:
        async with in_another_thread(burki):
            for _ in range(2):
                with pytest.raises(RuntimeError, match="one client for each loop"):
                    await pull(burki)

    run(main())
    assert run(pull(burki)) == 20
    run(burki.aclose())


def test_loop_that_is_closed_without_its_end() -> None:
    """A loop that is closed while a pull runs leaves the client usable and closable."""
    for closes in (False, True):
        sandbox = Sandbox(100, latency=0.05)
        burki = BurkiClient(KEY, transport=sandbox.transport, concurrency=2)
        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(pull(burki)) for _ in range(3)]
        loop.run_until_complete(asyncio.sleep(0.08))
        assert burki._running
        left = asyncio.all_tasks(loop)
        loop.close()
        for task in left:  # as they would be destroyed, but without the message
            task._log_destroy_pending = False  # type: ignore[attr-defined]

        async def use(burki: BurkiClient = burki, closes: bool = closes) -> None:
            if not closes:
                assert list(await asyncio.gather(pull(burki), pull(burki))) == [100, 100]
            await burki.aclose()

        run(use())
        assert not burki._running
        del tasks, left, task


def refusing_once(requests: list[float]) -> BurkiClient:
    """Return a client that is asked to wait 100 s by the first answer."""
    inner = Sandbox(20).transport

    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            requests.append(asyncio.get_running_loop().time())
            if len(requests) == 1:
                return httpx.Response(429, headers={"Retry-After": "100"})
            return await inner.handle_async_request(request)

    return BurkiClient(KEY, transport=Refusing())


def test_pause_holds_in_the_next_run() -> None:
    """A pause that the server asked for goes on in the next run, since the clock is the same."""
    requests: list[float] = []
    burki = refusing_once(requests)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            run(asyncio.wait_for(pull(burki), 0.1))
    assert len(requests) == 1


def test_clock_that_begins_anew_ends_the_pause() -> None:
    """On a loop with another clock a pause is forgotten: its end would be at any time."""
    requests: list[float] = []
    burki = refusing_once(requests)
    with pytest.raises(TimeoutError):
        run(asyncio.wait_for(pull(burki), 0.1))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(pull(burki)) == 20
    assert requests[1] == pytest.approx(1000, abs=1)
