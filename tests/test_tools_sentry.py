"""Contract with sentry-sdk's HttpxIntegration: a span and a breadcrumb a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import sentry_sdk
from pages import KEY
from sentry_sdk import integrations
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.transport import Transport
from wire import page_reply, wire_server

from aioburki import BurkiClient

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

Events = list[dict[str, Any]]
Activate = Callable[[], Events]


class RecordingTransport(Transport):
    """Keep events instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: Events = []

    def capture_envelope(self, envelope: Envelope) -> None:
        if event := envelope.get_transaction_event() or envelope.get_event():
            self.events.append(dict(event))


@pytest.fixture
def activate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Activate]:
    """Return what starts Sentry; undo it and its patches of httpx after the test."""
    for client in (httpx.AsyncClient, httpx.Client):
        monkeypatch.setattr(client, "send", client.send)
    for name in ("_processed_integrations", "_installed_integrations"):
        monkeypatch.setattr(integrations, name, set(), raising=True)

    clients = ExitStack()

    def init() -> Events:
        transport = RecordingTransport()
        sentry_sdk.init(
            dsn="https://public@sentry.invalid/1",
            transport=transport,
            integrations=[HttpxIntegration()],
            default_integrations=False,
            auto_enabling_integrations=False,
            traces_sample_rate=1.0,
        )
        clients.callback(sentry_sdk.get_client().close)
        return transport.events

    with clients:
        yield init
    sentry_sdk.get_global_scope().set_client(None)
    sentry_sdk.get_isolation_scope().clear()


async def test_each_request_has_a_span_and_a_breadcrumb(activate: Activate) -> None:
    """With several requests in flight each one has its span, and sends its own trace header."""
    async with wire_server(lambda number, _, per_page: page_reply(number, per_page, 400)) as server:
        events = activate()
        with sentry_sdk.start_transaction(name="pull"):
            async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
                assert len(await burki.contacts(42, per_page=10)) == 400
        sentry_sdk.capture_message("done")
    spans = {span["span_id"]: span["data"] for span in events[0]["spans"]}
    assert len(spans) == len(server.requests) == len(events[1]["breadcrumbs"]["values"]) == 40
    for head in server.requests:
        (header,) = (line for line in head.split("\r\n") if line.startswith("sentry-trace: "))
        data = spans.pop(header.split("-")[2])
        assert f"?{data['http.query']} " in head
        assert data["url"] == f"{server.url}/api/v1/campaigns/42/contacts"
    assert not spans


async def test_client_made_before_is_instrumented(activate: Activate) -> None:
    """A client that was made and used before Sentry was started has spans from then on."""
    async with wire_server(lambda *_: page_reply(1, 1000, 2)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42)
            events = activate()
            with sentry_sdk.start_transaction(name="pull"):
                await burki.contacts(42)
    assert len(events[0]["spans"]) == 1


async def test_injected_headers_stay_on_their_request(activate: Activate) -> None:
    """A header that Sentry adds to one request is not on a later one."""
    async with wire_server(lambda *_: page_reply(1, 1000, 2)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            activate()
            with sentry_sdk.start_transaction(name="pull"):
                await burki.contacts(42)
            sentry_sdk.get_global_scope().set_client(None)
            await burki.contacts(42)
    assert ["sentry-trace: " in head for head in server.requests] == [True, False]
