"""Interrupts, forks, slow consumers and simultaneous failures, checked by events on the wire."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from faults import (
    STALL,
    TOTAL,
    FaultServer,
    Steps,
    json_response,
    page_body,
    page_response,
    respond,
    send_raw,
)
from pages import KEY, body, page

from aioburki import (
    BurkiClient,
    BurkiError,
    ConnectionFailedError,
    NotFoundError,
    ResponseDecodeError,
    ServerError,
)
from aioburki._http import connection_pool, pooled_connection
from aioburki.sandbox import Sandbox

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

INTERRUPTED = """
import asyncio, sys
from aioburki import BurkiClient

async def take(contacts):
    match sys.argv[2]:
        case "await":
            await contacts
        case "iterate":
            async for _ in contacts:
                pass
        case "pages":
            async for _ in contacts.pages():
                pass
        case "stream":
            async with contacts.stream() as stream:
                async for _ in stream:
                    pass

async def main():
    async with BurkiClient("key", base_url=sys.argv[1]) as burki:
        await take(burki.contacts(42, per_page=1))

asyncio.run(main())
"""

FORKED = """
import asyncio, os, sys
from aioburki import BurkiClient

async def main():
    async with BurkiClient("key", base_url=sys.argv[1]) as burki:
        assert await burki.contacts(42).count() == 20
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(burki.contacts(42).count())
            except RuntimeError as error:
                os._exit(7 if "one client for each loop" in str(error) else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert await burki.contacts(42).count() == 20

asyncio.run(main())
"""


def start_process(program: str, *arguments: str, warnings: str = "error") -> subprocess.Popen[str]:
    """Start *program* in a new process, in development mode and with warnings as errors."""
    command = [sys.executable, "-X", "dev", "-W", warnings, "-c", program, *arguments]
    environment = {
        "PYTHONPATH": str(Path(connection_pool.__file__).parents[1]),
        "PATH": os.environ["PATH"],
    }
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("moment", ["stalled", "busy"])
@pytest.mark.parametrize("way", ["await", "iterate", "pages", "stream"])
async def test_interrupt_ends_the_process_cleanly(
    faults: FaultServer, way: str, moment: str
) -> None:
    """Ctrl-C ends `asyncio.run` within two seconds, and only KeyboardInterrupt is printed."""
    steps: dict[int | str, list[Steps]] = {1: [[["page"]]]}
    if moment == "stalled":
        steps["*"] = [STALL] * 8
    faults.listen(steps, total=5_000)
    process = start_process(INTERRUPTED, faults.url, way)
    # Page 1, and then as many as a client starts with, unless some of them are answered.
    while len(faults.state()["heads"]) < (5 if moment == "stalled" else 9):
        await asyncio.sleep(0.01)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(process.communicate)
    assert time.monotonic() - start < 2
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    for complaint in ("never", "Warning", "nclosed", "ignored", "BurkiError"):
        assert complaint not in errors


async def test_use_in_a_forked_process_raises(faults: FaultServer) -> None:
    """After a fork the child gets a RuntimeError with the reason; the parent can go on."""
    faults.listen()
    # Python warns when a process with threads forks, which this test does on purpose.
    process = start_process(FORKED, faults.url, warnings="ignore::DeprecationWarning")
    _, errors = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 0, errors


@pytest.mark.virtual_clock
async def test_slow_consumer_causes_no_timeouts() -> None:
    """Requests finish while the consumer sleeps, so none of them times out."""
    sandbox = Sandbox(60, latency=0.5)
    async with BurkiClient(KEY, transport=sandbox.transport, timeout=1, concurrency=2) as burki:
        async with burki.contacts(42, per_page=2).stream() as stream:
            async for _ in stream:
                await asyncio.sleep(1)
                assert sandbox.requests <= stream.report.pages + 4 * 2
    assert (stream.report.contacts, stream.report.requests, stream.report.retries) == (60, 30, 0)


async def test_expired_idle_connections_cost_no_request(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection that expired or was closed by the server is replaced without a retry."""
    monkeypatch.setattr(pooled_connection, "KEEPALIVE_SECONDS", 0.02)
    closing = [["note", "200"], ["page"], ["close"]]
    faults.listen({page: [closing] for page in (2, 4, 6)})
    got = []
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1) as burki:
        async for contact in burki.contacts(42, per_page=2):
            got.append(contact.id)
            await asyncio.sleep(0.03)
    assert got == list(range(1, TOTAL + 1))
    requests = [event for event in faults.events if event.startswith("GET")]
    assert requests == [f"GET {number}" for number in range(1, 11)]


@pytest.mark.virtual_clock
async def test_simultaneous_failures_raise_one_error() -> None:
    """Two pages that fail at once raise one plain error, and no request follows it."""
    answered = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal answered
        number = int(request.url.params["page"])
        await asyncio.sleep(1)
        answered += 1
        if number in (3, 5):
            status = 404 if number == 3 else 503
            return httpx.Response(status, json={"detail": "no"})
        return httpx.Response(200, json=page(number, 10, range(1, 1001)))

    transport = httpx.MockTransport(handler)
    async with BurkiClient(KEY, transport=transport, attempts=1) as burki:
        with pytest.raises((NotFoundError, ServerError)) as caught:
            await burki.contacts(42, per_page=10)
        before = answered
        await asyncio.sleep(100)
    assert answered == before
    assert caught.value.page in (3, 5)
    assert caught.value.__context__ is caught.value.__cause__ is None


@pytest.mark.virtual_clock
async def test_permanent_failure_of_a_page_ends_the_pull() -> None:
    """The error names page 437 of 500, and the pages before it are delivered once each."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number == 437:
            return httpx.Response(502)
        return httpx.Response(200, json=page(number, 2, range(1, 1001)))

    got: list[int] = []
    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        with pytest.raises(ServerError, match="page 437, 6 attempts") as caught:
            async for contact in burki.contacts(42, per_page=2):
                got.append(contact.id)
    assert got == list(range(1, 436 * 2 + 1))
    assert (caught.value.page, caught.value.attempts) == (437, 6)


@pytest.mark.parametrize("total_pages", [10**9, 10**18, 10_000_000])
async def test_huge_total_pages_costs_no_memory(faults: FaultServer, total_pages: int) -> None:
    """A huge total_pages is refused, or prefetched with a bounded number of tasks."""
    first = body(page(1, 10, range(1, 21), total_pages=total_pages, has_next=True))
    steps = [["note", "200"], ["send", json_response(first)]]
    faults.listen({1: [steps]})
    async with BurkiClient(KEY, base_url=faults.url) as burki:
        refused = pytest.raises(ResponseDecodeError, match="total_pages")
        with refused if total_pages > 10_000_000 else nullcontext():
            async with burki.contacts(42, per_page=10).stream() as stream:
                await anext(stream)
                tasks = [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
                assert len(tasks) <= 4 * 8
    assert len(faults.state()["heads"]) <= 1 + 4 * 8


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_page_whose_response_is_lost_is_delivered_once(
    faults: FaultServer, ending: str
) -> None:
    """A page is delivered once, whether its last bytes arrive before the connection ends or not."""
    lost = send_raw("200", page_response(2), then=ending)
    cut = send_raw("200", page_response(2)[:-1], then=ending)
    faults.listen({2: [cut, lost]})
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert [contact.id for contact in contacts] == list(range(1, TOTAL + 1))
    assert contacts.report.requests == len(faults.state()["heads"])
    assert contacts.report.duplicates == 0


async def test_server_that_ignores_the_page_number_raises(faults: FaultServer) -> None:
    """A server that sends page 1 for every page raises ResponseDecodeError at the second page."""
    faults.listen({number: [respond(200, page_body(1))] * 9 for number in range(2, 30)}, total=300)
    async with BurkiClient(KEY, base_url=faults.url) as burki:
        with pytest.raises(ResponseDecodeError, match="page 1 came instead"):
            await burki.contacts(42, per_page=10)
    # A page that waits to be requested again lets another one be requested.
    assert len(faults.state()["heads"]) <= 1 + 3 * 8


async def test_concurrent_pulls_share_the_slots_fairly(faults: FaultServer) -> None:
    """The slowest of five equal pulls takes at most twice as long as the fastest."""
    faults.listen(total=400, latency=0.01)
    ends: list[float] = []
    async with BurkiClient(KEY, base_url=faults.url, concurrency=4) as burki:

        async def pull() -> None:
            assert len(await burki.contacts(42, per_page=10)) == 400
            ends.append(time.monotonic())

        await burki.contacts(42).count()
        start = time.monotonic()
        await asyncio.gather(*(pull() for _ in range(5)))
    assert faults.state()["accepted"] <= 4
    assert max(ends) - start <= 2 * (min(ends) - start)


async def test_server_that_stops_during_a_pull_raises(faults: FaultServer) -> None:
    """When the port is closed the pull raises ConnectionFailedError after a few trial requests."""
    faults.listen(total=2_000, latency=0.01)
    # With two attempts a page may use them up before the third page has failed.
    async with BurkiClient(KEY, base_url=faults.url, attempts=3, timeout=5) as burki:
        pull = asyncio.ensure_future(burki.contacts(42, per_page=10, complete=False))
        while len(faults.state()["heads"]) < 10:
            await asyncio.sleep(0.01)
        faults.listen()  # on another port
        with pytest.raises(ConnectionFailedError) as caught:
            await pull
    assert isinstance(caught.value, BurkiError)
    assert "the server is down" in caught.value.message
    assert caught.value.attempts in (1, 2, 3)
