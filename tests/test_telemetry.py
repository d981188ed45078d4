"""OpenTelemetry: spans of pulls above those of their requests, and metrics that add up."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pages import KEY, PHONE, ListServer
from wire import page_reply, wire_server

from aioburki import (
    BurkiClient,
    Event,
    PullFinished,
    RequestFinished,
    RetryScheduled,
    ServerError,
)
from aioburki.sandbox import Sandbox
from aioburki.telemetry import OpenTelemetry

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.usefixtures("nothing_left"),
    # Of opentelemetry-sdk, about a class that it uses itself.
    pytest.mark.filterwarnings("ignore:You should use InstrumentationScope:DeprecationWarning"),
]

virtual = pytest.mark.virtual_clock


class Sink:
    """Spans and metrics in memory, and what makes them."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.spans_by = TracerProvider()
        self.spans_by.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.metrics_by = MeterProvider([self.reader])
        self.tracer = self.spans_by.get_tracer("test")
        self.telemetry = OpenTelemetry(self.spans_by, self.metrics_by)

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        spans = self.exporter.get_finished_spans()
        return [span for span in spans if name is None or span.name == name]

    def pulls(self) -> list[ReadableSpan]:
        return self.spans("pull contacts")

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Return the attributes and the data point of each series of a metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == f"aioburki.client.{name}"
            for point in metric.data.data_points
        ]

    def total(self, name: str, **attributes: str) -> float:
        """Return the sum of a counter over all series that have *attributes*."""
        wanted = {f"aioburki.{key}": value for key, value in attributes.items()}
        points = self.points(name)
        return sum(
            float(point.value) for labels, point in points if wanted.items() <= labels.items()
        )


@pytest.fixture
def sink(caplog: pytest.LogCaptureFixture) -> Iterator[Sink]:
    """Fail a test in which OpenTelemetry logs anything, such as a context that is not detached."""
    sink = Sink()
    before = otel_context.get_current()
    yield sink
    sink.spans_by.shutdown()
    sink.metrics_by.shutdown()
    assert otel_context.get_current() == before
    logged = [each for each in caplog.records if each.name.startswith("opentelemetry")]
    assert not [each.getMessage() for each in logged]


@pytest.fixture
def instrumented(sink: Sink) -> Iterator[None]:
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=sink.spans_by)
    yield
    instrumentor.uninstrument()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {key.removeprefix("aioburki."): value for key, value in (span.attributes or {}).items()}


def id_of(span: ReadableSpan | trace.Span) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def parent_id(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


@virtual
async def test_span_of_a_pull_has_its_query_and_its_report(sink: Sink) -> None:
    """The span has the counts of the report, and retries and pauses as events."""
    sandbox = Sandbox(200, seed=3, faults={"503": 0.1, "429": 0.1})
    async with BurkiClient(KEY, transport=sandbox.transport, on_event=sink.telemetry) as burki:
        contacts = await burki.contacts(42, per_page=10, limit=190)
    (span,) = sink.pulls()
    found, report = attributes(span), contacts.report
    assert (found["campaign.id"], found["pull.per_page"], found["pull.limit"]) == (42, 10, 190)
    assert "pull.status" not in found
    assert len(found["pull.id"]) == 16
    assert found["outcome"] == "done"
    assert (found["report.contacts"], found["report.requests"]) == (190, report.requests)
    assert (found["report.probes"], found["report.proof"]) == (report.probes, "coverage")
    assert found["report.waited"] == pytest.approx(report.waited)
    assert span.status.status_code is trace.StatusCode.UNSET
    retries = [event for event in span.events if event.name == "aioburki.retry"]
    assert len(retries) == report.retries > 0
    assert retries[0].attributes is not None
    assert retries[0].attributes["aioburki.reason"] == "busy"
    pauses = [event for event in span.events if event.name == "aioburki.pause"]
    assert pauses
    assert pauses[0].attributes is not None
    assert pauses[0].attributes["aioburki.reason"] == "rate_limited"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "aioburki"


@virtual
async def test_pull_that_fails_has_an_error_status(sink: Sink) -> None:
    """The status is ERROR with the error's text, which is recorded, and its type is bounded."""
    answer = httpx.Response(503, json={"detail": f"call {PHONE}"})
    transport = httpx.MockTransport(lambda _: answer)
    async with BurkiClient(KEY, transport=transport, on_event=sink.telemetry, attempts=1) as burki:
        with pytest.raises(ServerError) as raised:
            await burki.contacts(42, status="failed")
    (span,) = sink.pulls()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == str(raised.value)
    assert attributes(span)["error.type"] == "aioburki.ServerError"
    assert attributes(span)["pull.status"] == "failed"
    assert [event.name for event in span.events] == ["exception"]
    assert PHONE not in span.to_json()
    ((labels, point),) = sink.points("pull.duration")
    assert labels == {"aioburki.outcome": "failed", "error.type": "aioburki.ServerError"}
    assert point.count == 1


@virtual
async def test_error_that_is_not_ours_is_not_shown(sink: Sink) -> None:
    """An exception of the user's transport may hold anything: the span has no text of it."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise LookupError("what is mine")

    async with BurkiClient(
        KEY, transport=httpx.MockTransport(fail), on_event=sink.telemetry
    ) as burki:
        with pytest.raises(LookupError):
            await burki.contacts(42)
    (span,) = sink.pulls()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description is None
    assert attributes(span)["error.type"] == "_OTHER"
    assert "mine" not in span.to_json()


@pytest.mark.usefixtures("instrumented")
async def test_spans_of_requests_stand_below_their_pull(sink: Sink) -> None:
    """Of three pulls at once each request is below its own, and the pulls below the user's span."""
    async with wire_server(
        lambda number, attempt, per_page: page_reply(
            number, per_page, 100, status=503 if attempt == number == 3 else 200
        ),
        latency=0.01,
    ) as server:
        async with BurkiClient(KEY, base_url=server.url, on_event=sink.telemetry) as burki:
            with sink.tracer.start_as_current_span("job") as job:
                pulls = [burki.contacts(42, per_page=10).to_list() for _ in range(3)]
                results = await asyncio.gather(*pulls)
                total = await burki.contacts(42).count()
        assert total == 100
    spans = sink.pulls()
    assert [parent_id(span) for span in spans] == [id_of(job)] * 3
    requests = [span for span in sink.spans() if span.kind is trace.SpanKind.CLIENT]
    below = {id_of(span): 0 for span in spans}
    for request in requests:
        parent = parent_id(request)
        if parent in below:
            below[parent] += 1
        else:  # count() is no pull
            assert parent == id_of(job)
    assert sorted(below.values()) == sorted(result.report.requests for result in results)
    assert len(requests) == sum(below.values()) + 1
    for span in spans:
        assert attributes(span)["report.requests"] == below[id_of(span)]


@virtual
async def test_code_of_the_caller_is_not_below_the_pull(sink: Sink) -> None:
    """In the loop over contacts the caller's span is current, also between two tasks."""
    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=sink.telemetry) as burki:
        contacts = burki.contacts(42, per_page=10)
        with sink.tracer.start_as_current_span("job") as job:
            async for contact in contacts:
                assert trace.get_current_span() is job
                if contact.id in (5, 25):
                    await contacts  # another pull, in the loop of the first
                    assert trace.get_current_span() is job
            async with contacts.stream() as stream:
                assert trace.get_current_span() is job
                await asyncio.create_task(anext(aiter(stream)))
        pages = contacts.pages()
        await asyncio.create_task(anext(pages))
        assert not trace.get_current_span().get_span_context().is_valid
        await asyncio.create_task(pages.aclose())
    spans = sink.pulls()
    assert [parent_id(span) for span in spans] == [id_of(job)] * 4 + [None]
    assert [attributes(span)["outcome"] for span in spans] == ["done"] * 3 + ["stopped"] * 2


@virtual
async def test_metrics_are_the_sums_of_the_reports(sink: Sink) -> None:
    """Requests, retries, 429s, waits and contacts of pulls that end in any way add up."""
    reports = []

    def on_event(event: Event) -> None:
        sink.telemetry(event)
        if isinstance(event, PullFinished):
            reports.append(event.report)

    sandbox = Sandbox(400, seed=5, faults={"503": 0.2, "429": 0.1, "disconnect": 0.05}, latency=0.1)
    async with BurkiClient(KEY, transport=sandbox.transport, on_event=on_event) as burki:
        contacts = burki.contacts(42, per_page=10)
        await contacts
        async for contact in contacts:
            if contact.id > 150:
                break
        await asyncio.sleep(0.1)
    for seconds in (0.05, 0.7):  # the first is cancelled while its first request is in flight
        async with BurkiClient(KEY, transport=sandbox.transport, on_event=on_event) as burki:
            task = asyncio.create_task(burki.contacts(42, per_page=10).to_list())
            await asyncio.sleep(seconds)
            task.cancel()
            await asyncio.wait((task,))
    assert len(reports) == 4
    assert len(sink.pulls()) == 4
    assert sink.total("requests") == sum(report.requests for report in reports)
    assert sink.total("requests", outcome="cancelled", status_class="none") > 0
    assert sink.total("requests", status_class="2xx") == sink.total("requests", outcome="ok")
    assert sink.total("retries") == sum(report.retries for report in reports)
    assert sink.total("retries", reason="busy") > sink.total("retries", reason="connection") > 0
    refused = sum(report.rate_limited for report in reports)
    assert sink.total("rate_limited") == sink.total("requests", outcome="rate_limited") == refused
    assert sink.total("pauses", reason="rate_limited") > 0
    assert sink.total("contacts") == sum(report.contacts for report in reports)
    assert sink.total("wait.time") == pytest.approx(sum(report.waited for report in reports))
    durations = sink.points("pull.duration")
    counts = {labels["aioburki.outcome"]: point.count for labels, point in durations}
    assert counts == {"done": 1, "stopped": 3}
    assert sum(point.sum for _, point in durations) == pytest.approx(
        sum(report.elapsed for report in reports)
    )


@virtual
async def test_wait_that_no_request_follows_is_counted(sink: Sink) -> None:
    """A back-off after which the pull is cancelled is in the report and in the metric."""
    reports = []

    def on_event(event: Event) -> None:
        sink.telemetry(event)
        if isinstance(event, PullFinished):
            reports.append(event.report)

    transport = httpx.MockTransport(lambda _: httpx.Response(502))
    async with BurkiClient(KEY, transport=transport, on_event=on_event, rate=0.1) as burki:
        task = asyncio.create_task(burki.contacts(42).to_list())
        await asyncio.sleep(5)  # the back-off is over, and the second request waits for its turn
        task.cancel()
        await asyncio.wait((task,))
    assert reports[0].waited > 0
    assert sink.total("wait.time") == pytest.approx(reports[0].waited)


@virtual
async def test_attributes_of_metrics_are_bounded(sink: Sink) -> None:
    """Many campaigns and pulls make no more series than one."""
    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=sink.telemetry) as burki:
        for campaign in range(1, 20):
            await burki.contacts(campaign, per_page=10)
            await burki.contacts(campaign).count()
    ((labels, point),) = sink.points("requests")
    assert labels == {"aioburki.outcome": "ok", "aioburki.status_class": "2xx"}
    assert point.value == 19 * 4
    assert len(sink.points("pull.duration")) == len(sink.points("contacts")) == 1
    assert len(sink.pulls()) == 19


@virtual
async def test_pull_that_never_ends_leaves_nothing(sink: Sink) -> None:
    """What is kept of a pull is kept in its own context, and goes with it and its client."""
    kept: list[weakref.ref[Any]] = []

    class Watching(OpenTelemetry):
        def __call__(self, event: Event) -> None:
            super().__call__(event)
            if (state := self._state(event)) is not None:
                kept.append(weakref.ref(state.span))

    telemetry = Watching(sink.spans_by, sink.metrics_by)
    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=telemetry) as burki:
        stream = burki.contacts(42, per_page=10).stream()
        await stream.__aenter__()
        await asyncio.sleep(1)
        assert kept
    del stream, burki
    gc.collect()
    assert {each() for each in kept} == {None}
    assert sink.pulls() == []


@virtual
async def test_two_of_them_and_none_do_not_disturb_each_other(sink: Sink) -> None:
    """Each has spans of its own; without an SDK nothing happens at all."""
    other = Sink()
    idle = OpenTelemetry()

    def on_event(event: Event) -> None:
        for each in (sink.telemetry, other.telemetry, idle):
            each(event)

    sandbox = Sandbox(60, seed=3, faults={"503": 0.3})
    async with BurkiClient(KEY, transport=sandbox.transport, on_event=on_event) as burki:
        report = (await burki.contacts(42, per_page=10)).report
    assert report.retries > 0
    for each in (sink, other):
        (span,) = each.pulls()
        assert sum(event.name == "aioburki.retry" for event in span.events) == report.retries
    other.spans_by.shutdown()
    other.metrics_by.shutdown()


@virtual
async def test_event_of_an_unknown_pull_is_counted(sink: Sink) -> None:
    """Events that come elsewhere than in the context of their pull make metrics, and no span."""
    seen: list[Event] = []
    sandbox = Sandbox(60, seed=3, faults={"503": 0.3})
    async with BurkiClient(KEY, transport=sandbox.transport, on_event=seen.append) as burki:
        report = (await burki.contacts(42, per_page=10)).report
    for event in seen:
        if isinstance(event, RequestFinished | RetryScheduled | PullFinished):
            sink.telemetry(event)
    assert sink.total("requests") == report.requests
    assert sink.total("contacts") == 60
    assert sink.spans() == []


async def test_missing_api_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without opentelemetry-api the import says what to install; the core imports none of it."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == "opentelemetry" or name == "aioburki.telemetry":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aioburki\[otel\]'"):
        import aioburki.telemetry  # noqa: F401, PLC0415 - the import is what is tested
    script = "import sys, aioburki; print('opentelemetry' in sys.modules)"
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
