"""Contract with opentelemetry-instrumentation-httpx: a span a request, and its traceparent sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pages import KEY
from wire import Reply, WireServer, page_reply, wire_server

from aioburki import BurkiClient

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.usefixtures("nothing_left"),
    # Of opentelemetry-sdk, about a class that it uses itself.
    pytest.mark.filterwarnings("ignore:You should use InstrumentationScope:DeprecationWarning"),
]

Activate = Callable[[], InMemorySpanExporter]


@pytest.fixture
def activate() -> Iterator[Activate]:
    """Return what instruments httpx; undo it after the test."""
    instrumentor, provider = HTTPXClientInstrumentor(), TracerProvider()

    def instrument() -> InMemorySpanExporter:
        exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        instrumentor.instrument(tracer_provider=provider)
        return exporter

    yield instrument
    instrumentor.uninstrument()
    provider.shutdown()


def pages_by_span(exporter: InMemorySpanExporter) -> dict[str, str]:
    """Return the query of the URL by the span's id."""
    spans = {}
    for span in exporter.get_finished_spans():
        assert span.context is not None
        assert span.attributes is not None
        url = span.attributes.get("http.url") or span.attributes["url.full"]
        spans[f"{span.context.span_id:016x}"] = urlsplit(str(url)).query
    return spans


def pages_by_traceparent(server: WireServer) -> dict[str, str]:
    """Return the query of the request line by the span id in its ``traceparent`` header."""
    requests = {}
    for head in server.requests:
        (header,) = (line for line in head.split("\r\n") if line.startswith("traceparent: "))
        requests[header.split("-")[2]] = urlsplit(head.split(" ")[1]).query
    return requests


async def test_each_request_has_a_span_and_sends_its_traceparent(activate: Activate) -> None:
    """With several requests in flight each one sends the traceparent of its own span."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        return page_reply(number, per_page, 400, status=503 if attempt == number == 7 else 200)

    async with wire_server(answer, latency=0.05) as server:
        exporter = activate()
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            contacts = await burki.contacts(42, per_page=10)
        assert len(contacts) == 400
        assert server.most_in_flight > 1
    assert len(server.requests) == contacts.report.requests >= 40
    assert len(pages_by_span(exporter)) == len(server.requests)
    assert pages_by_span(exporter) == pages_by_traceparent(server)


async def test_client_made_before_is_instrumented(activate: Activate) -> None:
    """A client that was made and used before httpx was instrumented has spans from then on."""
    async with wire_server(lambda *_: page_reply(1, 1000, 2)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42)
            exporter = activate()
            server.requests.clear()
            await burki.contacts(42)
    assert len(pages_by_span(exporter)) == 1
    assert pages_by_span(exporter) == pages_by_traceparent(server)
