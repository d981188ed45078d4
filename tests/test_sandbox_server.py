"""The sandbox over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from pages import KEY

from aioburki import BurkiClient, NotFoundError, TransportError
from aioburki.sandbox import Sandbox, serve
from aioburki.sandbox._http_server import asgi_app

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]


@asynccontextmanager
async def served(sandbox: Sandbox) -> AsyncIterator[str]:
    """Serve *sandbox* on a free port; yield the URL."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(sandbox, 0, url.set_result))
    try:
        yield await url
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def test_pull_over_http() -> None:
    """A pull over loopback delivers what the sandbox holds."""
    sandbox = Sandbox(12_345)
    async with served(sandbox) as url, BurkiClient(KEY, base_url=url) as burki:
        contacts = await burki.contacts(42)
        assert [contact.id for contact in contacts] == list(range(101, 12_446))
        assert contacts.report.requests == 13
        with pytest.raises(NotFoundError, match="Campaign not found"):
            await burki.contacts(7)


@pytest.mark.parametrize(
    "faults",
    [
        {"disconnect": 0.4},
        {"half_body": 0.4},
        {"connect": 0.4},
        {"reset": 0.4},
        {"timeout": 0.1},
        {"stall": 0.1},
    ],
)
async def test_faults_over_http(faults: Mapping[str, float]) -> None:
    """Faults of the connection are survived over HTTP too."""
    sandbox = Sandbox(1000, faults=faults)
    async with (
        served(sandbox) as url,
        BurkiClient(KEY, base_url=url, attempts=30, timeout=0.5) as burki,
    ):
        contacts = await burki.contacts(42, per_page=20)
    assert len(contacts) == 1000
    assert contacts.report.retries > 1


async def test_asgi_app_serves_http_only() -> None:
    """The ASGI application ignores other scopes and works with httpx.ASGITransport."""
    app = asgi_app(Sandbox(10))
    await app({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with BurkiClient(KEY, transport=transport) as burki:
        assert len(await burki.contacts(42)) == 10


async def test_port_in_use_is_an_error() -> None:
    """Serving on a port that is in use raises OSError and leaves no socket."""
    async with served(Sandbox(1)) as url:
        with pytest.raises(OSError, match="in use"):
            await serve(Sandbox(1), int(url.rsplit(":", 1)[1]), print)
    async with BurkiClient(KEY, base_url=url, attempts=1) as burki:
        with pytest.raises(TransportError):
            await burki.contacts(42)


async def test_serve_again_after_a_cancellation() -> None:
    """A server that was cancelled leaves nothing in the event loop that hinders the next one."""
    for _ in range(3):
        async with served(Sandbox(10)) as url, httpx.AsyncClient(timeout=5) as http:
            assert (await http.get(url)).status_code == 404
        async with served(Sandbox(10)):
            pass  # cancelled while it starts


async def test_cancelled_server_ends_its_requests() -> None:
    """A server that is cancelled during a request closes the connection and ends the request."""
    sandbox = Sandbox(10, latency=3600)
    async with httpx.AsyncClient(timeout=5) as http:
        async with served(sandbox) as url:
            request = asyncio.create_task(http.get(f"{url}/"))
            while not sandbox.in_flight:
                await asyncio.sleep(0.01)
        assert sandbox.in_flight == 0
        with pytest.raises(httpx.HTTPError):
            await request


async def test_moving_list_over_http() -> None:
    """A list that drains, over HTTP and with faults, is pulled completely."""
    sandbox = Sandbox(
        2_000, order="-id", id_gaps=True, drift={"delete": 3}, faults={"reset": 0.1, "503": 0.1}
    )
    before = set(sandbox.ids())
    async with served(sandbox) as url, BurkiClient(KEY, base_url=url, attempts=20) as burki:
        contacts = await burki.contacts(42, per_page=50)
    assert contacts.report.complete
    assert not before.intersection(sandbox.ids()) - {each.id for each in contacts}
