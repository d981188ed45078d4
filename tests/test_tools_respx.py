"""Contract with respx: it mocks a default client, by httpcore (its default) and by httpx."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import respx
from pages import KEY, page
from wire import page_reply, wire_server

from aioburki import BurkiClient

Mocked = Callable[[], respx.MockRouter]

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.parametrize(
        "mocked",
        [lambda: respx.mock(), lambda: respx.mock(using="httpx")],  # noqa: PLW0108 - a call each
        ids=["default", "httpx"],
    ),
]

URL = "https://api.burki.dev/api/v1/campaigns/42/contacts"


async def test_requests_are_mocked(mocked: Mocked) -> None:
    """A route returns its response each time, and its calls can be inspected."""
    with mocked() as router:
        route = router.get(URL, params={"page": "1", "per_page": "1000"}).respond(
            json=page(1, 1000, [1, 2])
        )
        async with BurkiClient(KEY) as burki:
            for _ in range(2):
                contacts = await burki.contacts(42)
                assert [contact.id for contact in contacts] == [1, 2]
        assert route.call_count == 2
        assert route.calls.last.request.headers["authorization"] == f"Bearer {KEY}"


async def test_errors_are_mocked(mocked: Mocked) -> None:
    """An exception as side effect is retried as one of the network."""
    with mocked() as router:
        answer = httpx.Response(200, json=page(1, 1000, [1, 2]))
        router.get(URL).mock(side_effect=[httpx.ReadError("broken"), answer])
        async with BurkiClient(KEY) as burki:
            contacts = await burki.contacts(42)
    assert contacts.report.retries == 1


async def test_nothing_reaches_the_network(mocked: Mocked) -> None:
    """Activated after a client has sent requests, and with nothing registered, it sends nothing."""
    async with wire_server(lambda *_: page_reply(1, 1000, 2)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42)
            with mocked():
                with pytest.raises(AssertionError, match="not mocked"):
                    await burki.contacts(42)
        with mocked():
            async with BurkiClient(KEY, base_url=server.url) as burki:
                with pytest.raises(AssertionError, match="not mocked"):
                    await burki.contacts(42)
    assert (server.connections, len(server.requests)) == (1, 1)
