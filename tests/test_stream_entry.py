"""Entering a stream: page 1 is fetched then, once, and an error is raised before the block."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from pages import KEY, ListServer, page

from aioburki import (
    AuthenticationError,
    BurkiClient,
    ClientClosedError,
    IncompletePullError,
    NotFoundError,
    ServerError,
)
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.mark.parametrize("complete", [True, False])
async def test_page_1_is_fetched_on_entry_and_not_again(complete: bool) -> None:
    """The first page has come when the block begins, and the pull takes no request more."""
    server = ListServer(range(101, 601))
    async with BurkiClient(KEY, transport=server.transport) as burki:
        async with burki.contacts(42, per_page=100, complete=complete).stream() as stream:
            assert server.asked[0] == 1
            assert stream.report.requests >= 1
            assert (stream.report.pages, stream.report.contacts) == (0, 0)
            contacts = [contact.id async for contact in stream]
    assert contacts == list(range(101, 601))
    assert sorted(server.asked) == [1, 2, 3, 4, 5]


async def test_pages_of_an_entered_stream_begin_with_the_first() -> None:
    """`pages()` delivers the page that was fetched on entry."""
    async with BurkiClient(KEY, transport=Sandbox(30).transport) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            numbers = [page.pagination.page async for page in stream.pages()]
    assert numbers == [1, 2, 3]


async def test_nothing_is_requested_beyond_the_run_ahead_after_entry() -> None:
    """A consumer that enters and takes nothing holds the pull back."""
    sandbox = Sandbox(10_000, latency=0.05)
    async with BurkiClient(KEY, transport=sandbox.transport, concurrency=2) as burki:
        async with burki.contacts(42, per_page=10).stream():
            await asyncio.sleep(60)
            assert sandbox.requests <= 1 + 4 * 2


async def test_an_error_is_raised_by_the_entry_before_the_block() -> None:
    """A campaign that does not exist is raised by ``async with``; the rest is everything."""
    async with BurkiClient(KEY, transport=Sandbox(30).transport) as burki:
        contacts = burki.contacts(7)
        stream = contacts.stream()
        with pytest.raises(NotFoundError, match="page 1"):
            async with stream:
                pytest.fail("the block ran")
        assert stream.rest == contacts.range
        assert stream.report.contacts == 0
        assert not stream.report.complete
        assert not burki._running
        with pytest.raises(RuntimeError, match="this stream has ended"):
            await stream.__aenter__()
        with pytest.raises(RuntimeError, match="inside its `async with` block"):
            await anext(stream)


async def test_an_error_of_a_later_page_is_raised_in_the_block() -> None:
    """Page 1 is delivered, and then the error of page 2 is raised."""
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(number := int(request.url.params["page"]))
        if number > 1:
            return httpx.Response(401, json={"detail": "Invalid key"})
        return httpx.Response(200, json=page(1, 10, range(101, 131)))

    taken = 0
    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            with pytest.raises(AuthenticationError):
                async for _ in stream:
                    taken += 1
    assert taken == 10


async def test_a_transient_failure_on_entry_is_retried() -> None:
    """The first page has all its attempts; then its error is that of the entry."""
    sandbox = Sandbox(30, faults={"503": 1.0})
    async with BurkiClient(KEY, transport=sandbox.transport, attempts=2) as burki:
        with pytest.raises(ServerError, match="2 attempts"):
            async with burki.contacts(42).stream():
                pytest.fail("the block ran")
    assert sandbox.requests == 2


@pytest.mark.parametrize("seconds", [0.0, 0.5])
async def test_a_cancelled_entry_leaves_nothing(seconds: float) -> None:
    """A deadline around the entry ends the request; the rest is everything."""
    sandbox = Sandbox(30, latency=1)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        contacts = burki.contacts(42)
        stream = contacts.stream()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds), stream:
                pytest.fail("the block ran")
        assert stream.rest == contacts.range
        assert not burki._running
        assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
        assert len(await contacts) == 30


async def test_a_client_that_is_closed_during_the_entry() -> None:
    """Closing the client ends the entry with ClientClosedError."""
    burki = BurkiClient(KEY, transport=Sandbox(30, latency=1).transport)
    entering = asyncio.create_task(burki.contacts(42).stream().__aenter__())
    await asyncio.sleep(0.5)
    await burki.aclose()
    with pytest.raises(ClientClosedError):
        await entering


async def test_entered_and_left_is_not_complete(caplog: pytest.LogCaptureFixture) -> None:
    """A list of one page is complete when its page is taken, and leaving before logs nothing."""
    async with BurkiClient(KEY, transport=Sandbox(5).transport) as burki:
        contacts = burki.contacts(42)
        async with contacts.stream() as left:
            pass
        with pytest.raises(IncompletePullError):
            left.report.raise_if_incomplete()
        assert left.rest == contacts.range
        async with contacts.stream() as read:
            async for _ in read:
                pass
        assert read.report.complete
        assert read.rest is None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_limit_of_none_sends_nothing_on_entry() -> None:
    """With ``limit=0`` there is nothing to fetch."""
    sandbox = Sandbox(5)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        async with burki.contacts(42, limit=0).stream() as stream:
            assert [contact async for contact in stream] == []
    assert sandbox.requests == 0


async def test_an_empty_list_is_entered() -> None:
    """An empty list is one request, on entry, and no contacts."""
    sandbox = Sandbox(0)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        async with burki.contacts(42).stream() as stream:
            assert sandbox.requests == 1
            assert [contact async for contact in stream] == []
    assert stream.report.complete
    assert sandbox.requests == 1


async def test_a_pull_that_is_closed_before_it_begins() -> None:
    """A pull that was never begun has taken no time, and can be closed."""
    async with BurkiClient(KEY, transport=Sandbox(5).transport) as burki:
        started = burki.contacts(42)._list.start()
        await started.pull.aclose()
        assert started.report().elapsed == 0
