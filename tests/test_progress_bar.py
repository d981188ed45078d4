"""`progress=True`: a bar of `tqdm.auto` that a pull moves on and closes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest
import tqdm.auto
from pages import KEY

from aioburki import BurkiClient, ConfigurationError, Contacts
from aioburki._progress_bar import LiveBar
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the bars that are made."""
    made: list[Any] = []

    class Recorded(tqdm.auto.tqdm):  # type: ignore[type-arg]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.is_open = True
            made.append(self)

        def close(self) -> None:
            self.is_open = False
            super().close()

    monkeypatch.setattr("tqdm.auto.tqdm", Recorded)
    return made


def client(contacts: int, **options: Any) -> BurkiClient:
    return BurkiClient(KEY, transport=Sandbox(contacts, **options).transport)


async def take(contacts: Contacts, number: int) -> None:
    async with contacts.stream(progress=True) as stream:
        for _ in range(number):
            await anext(stream)


async def test_bar_of_a_stream_moves_with_its_pages(bars: list[Any]) -> None:
    """The bar appears with the first page, knows how many there are, and is closed at the end."""
    async with client(250) as burki:
        async with burki.contacts(42, per_page=100).stream(progress=True) as stream:
            await anext(stream)
            (bar,) = bars
            assert (bar.n, bar.total, bar.desc) == (100, 250, "campaign 42")
            async for _ in stream:
                pass
            assert (bar.n, bar.total) == (250, 250)
            assert bar.is_open
    assert not bar.is_open


@pytest.mark.parametrize("method", ["to_arrow", "to_pandas", "to_polars"])
async def test_tables_have_a_bar(bars: list[Any], method: str) -> None:
    """The methods that make tables show the same bar."""
    async with client(250) as burki:
        await getattr(burki.contacts(42, per_page=100), method)(progress=True)
        (bar,) = bars
        assert (bar.n, bar.total, bar.is_open) == (250, 250, False)
        await getattr(burki.contacts(42, per_page=100), method)()
    assert len(bars) == 1


async def test_no_bar_without_progress(bars: list[Any]) -> None:
    """By default nothing is shown, nor by a stream that takes nothing."""
    async with client(250) as burki:
        async with burki.contacts(42).stream() as stream:
            await anext(stream)
        async with burki.contacts(42).stream(progress=True):
            pass
    assert bars == []


async def test_total_is_that_of_the_limit_or_the_range(bars: list[Any]) -> None:
    """With `limit` the total is at most that, and of a range what it has, or had, of the list."""
    async with client(1_000) as burki:
        await take(burki.contacts(42, per_page=100, limit=150), 150)
        assert (bars[-1].n, bars[-1].total) == (150, 150)
        parts = await burki.contacts(42, per_page=100).split(4)
        for part in (parts[1], parts[-1]):
            await take(burki.contacts(part, per_page=100), 1)
            assert bars[-1].total == 250


async def test_total_follows_the_list(bars: list[Any]) -> None:
    """A list that grows has a larger total, and one that ends early is finished all the same."""
    async with client(500, drift={"append": 10}) as burki:
        await burki.contacts(42, per_page=100).to_arrow(progress=True)
        assert bars[-1].n == bars[-1].total > 500
    sandbox = Sandbox(500, drift={"leave": 20})
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        pull = burki.contacts(42, status="pending", per_page=20)
        await pull.to_arrow(progress=True)
        assert bars[-1].n == bars[-1].total


async def test_interrupted_bar_is_closed_where_it_is(bars: list[Any]) -> None:
    """An exception or a cancellation closes the bar, which shows what is left."""
    async with client(1_000, latency=1) as burki:
        contacts = burki.contacts(42, per_page=10)
        with pytest.raises(KeyError):
            async with contacts.stream(progress=True) as stream:
                await anext(stream)
                raise KeyError
        assert (bars[-1].n, bars[-1].total, bars[-1].is_open) == (10, 1_000, False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await contacts.to_arrow(progress=True)
        assert bars[-1].n < 1_000
        assert not bars[-1].is_open


def seconds_left(bar: Any) -> float:
    shown = bar.format_dict
    return float((bar.total - bar.n) / shown["rate"])


async def test_time_left_in_a_pause(bars: list[Any]) -> None:
    """In a pause the bar is drawn each second, and its time left holds the rest of the pause."""
    inner = Sandbox(1_000, latency=0.1).transport
    number = 0

    class Pausing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal number
            number += 1
            if number == 60:
                return httpx.Response(429, headers={"Retry-After": "60"})
            return await inner.handle_async_request(request)

    drawn: list[tuple[float, float]] = []
    loop = asyncio.get_running_loop()
    async with BurkiClient(KEY, transport=Pausing(), concurrency=2) as burki:
        begin = loop.time()
        pull = asyncio.create_task(take(burki.contacts(42, per_page=10), 1_000))
        await asyncio.sleep(5)
        refresh = bars[0].refresh

        def draw(*args: Any, **options: Any) -> None:
            drawn.append((loop.time() - begin, seconds_left(bars[0])))
            refresh(*args, **options)

        bars[0].refresh = draw
        await asyncio.sleep(50)
        del bars[0].refresh
        await pull
        took = loop.time() - begin
    assert len(drawn) >= 49
    assert all(passed + left == pytest.approx(took, rel=0.1) for passed, left in drawn)


async def test_time_left_for_a_quota(bars: list[Any]) -> None:
    """A quota that is used up is waited for in the time left."""
    inner = Sandbox(1_000, latency=0.1).transport
    begin = asyncio.get_running_loop().time()

    class Limited(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await inner.handle_async_request(request)
            passed = asyncio.get_running_loop().time() - begin
            self.left = getattr(self, "left", 50) - 1
            if passed < 90:
                response.headers["X-RateLimit-Remaining"] = str(self.left)
                response.headers["X-RateLimit-Reset"] = str(90 - int(passed))
            return response

    async with BurkiClient(KEY, transport=Limited(), concurrency=2) as burki:
        pull = asyncio.create_task(take(burki.contacts(42, per_page=10), 1_000))
        await asyncio.sleep(30)
        assert seconds_left(bars[0]) == pytest.approx(62, rel=0.1)
        await pull


async def test_bar_that_is_not_shown_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without standard error nothing is drawn, and no timer is set."""
    monkeypatch.setattr(sys, "stderr", None)
    live = LiveBar(tqdm.auto.tqdm, lambda: 0.0, disable=True)
    live.record(10)
    assert live._timer is None
    live.close()


@pytest.mark.parametrize("method", ["stream", "to_arrow"])
async def test_missing_tqdm_is_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Without tqdm the error says what to install."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    sandbox = Sandbox(5)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'aioburki\[cli\]'"):
            made = getattr(burki.contacts(42), method)(progress=True)
            if method != "stream":
                await made
        with pytest.raises(ConfigurationError, match="progress must be True or False"):
            burki.contacts(42).stream(progress=1)  # type: ignore[arg-type]
    assert sandbox.requests == 0


SCRIPT = """
import asyncio, sys
from aioburki import BurkiClient
from aioburki.sandbox import Sandbox

async def main():
    async with BurkiClient("any", transport=Sandbox(250).transport) as burki:
        async with burki.contacts(42, per_page=100).stream(progress=True) as stream:
            print(len([contact async for contact in stream]))

{before}
asyncio.run(main())
"""


@pytest.mark.parametrize("before", ["", "sys.stderr = None"])
async def test_bar_is_on_standard_error(before: str) -> None:
    """The bar goes to standard error, and where there is none, the pull goes on."""
    run = [sys.executable, "-c", SCRIPT.format(before=before)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "250\n"
    assert ("250/250" in done.stderr) == (not before)


async def test_standard_error_that_nobody_reads_ends_no_pull() -> None:
    """A reader of standard error that has gone away costs the bar, not the contacts."""
    read, write = os.pipe()
    os.close(read)
    run = [sys.executable, "-c", SCRIPT.format(before="")]
    done = subprocess.run(run, stdout=subprocess.PIPE, stderr=write, text=True, check=False)
    os.close(write)
    assert done.stdout == "250\n"
