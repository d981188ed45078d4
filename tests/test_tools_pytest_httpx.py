"""Contract with pytest-httpx: it mocks a default client."""

from __future__ import annotations

import httpx
import pytest
from pages import KEY, page
from pytest_httpx import HTTPXMock
from wire import page_reply, wire_server

from aioburki import BurkiClient, RequestTimeoutError

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

URL = "https://api.burki.dev/api/v1/campaigns/42/contacts?page=1&per_page=1000"


async def test_requests_are_mocked(httpx_mock: HTTPXMock) -> None:
    """A registered response is returned, and the request can be inspected."""
    httpx_mock.add_response(url=URL, json=page(1, 1000, [1, 2]))
    async with BurkiClient(KEY) as burki:
        contacts = await burki.contacts(42)
    assert [contact.id for contact in contacts] == [1, 2]
    (request,) = httpx_mock.get_requests()
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.content == b""


async def test_errors_are_mocked(httpx_mock: HTTPXMock) -> None:
    """A registered exception is retried as one of the network."""
    httpx_mock.add_exception(httpx.ReadError("broken"))
    httpx_mock.add_response(json=page(1, 1000, [1, 2]))
    async with BurkiClient(KEY) as burki:
        contacts = await burki.contacts(42)
    assert contacts.report.retries == 1


@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
async def test_nothing_reaches_the_network(request: pytest.FixtureRequest) -> None:
    """Activated after a client has sent requests, and with nothing registered, it sends nothing."""
    async with wire_server(lambda *_: page_reply(1, 1000, 2)) as server:
        async with BurkiClient(KEY, base_url=server.url, attempts=1) as burki:
            await burki.contacts(42)
            httpx_mock: HTTPXMock = request.getfixturevalue("httpx_mock")
            with pytest.raises(RequestTimeoutError):
                await burki.contacts(42)
            assert len(httpx_mock.get_requests()) == 1
        async with BurkiClient(KEY, base_url=server.url, attempts=1) as burki:
            with pytest.raises(RequestTimeoutError):
                await burki.contacts(42)
    assert (server.connections, len(server.requests)) == (1, 1)
