"""OpenTelemetry: pulls as spans, and what they cost as metrics.

::

    telemetry = OpenTelemetry()
    burki = BurkiClient(on_event=telemetry)

Needs ``pip install 'aioburki[otel]'``, which brings the API of OpenTelemetry; the application
chooses the SDK and the exporters. The spans of HTTP requests are those of
opentelemetry-instrumentation-httpx, and stand below the span of their pull.
"""

from __future__ import annotations

from ._errors import BurkiError
from ._events import (
    Event,
    PauseStarted,
    PullFinished,
    PullStarted,
    RequestFinished,
    RetryScheduled,
)
from ._extras import named
from ._report import PullReport
from ._version import __version__

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, Status, StatusCode, TracerProvider
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as error:
    raise named(error) from None

__all__ = ["OpenTelemetry"]

# What the span of a pull has of its report.
_COUNTS = (
    "contacts", "pages", "requests", "retries", "rate_limited", "duplicates", "probes", "waited",
    "missing", "proof", "complete", "consistent",
)  # fmt: skip

# Seconds. From a page to an hour; the defaults of the SDK end at ten seconds, in other units.
_DURATIONS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class _PullState:
    """The span of a pull that runs, and the seconds of its waits that are counted already."""

    __slots__ = ("pull_id", "span", "waited")

    def __init__(self, pull_id: str | None, span: Span) -> None:
        self.pull_id = pull_id
        self.span = span
        self.waited = 0.0


class OpenTelemetry:
    """Make spans and metrics of the events of any number of clients.

    Give it to ``on_event`` itself, or call it first in a function of yours: it must be called where
    the event happens, not in another thread or later.

    **Spans.** Each pull is a span, ``pull contacts``, below the span that is current where the pull
    begins. It is current for the requests of the pull, and not for the code that takes the
    contacts. Its attributes begin with ``aioburki.``: the campaign, the query, and at the end the
    counts of the report, also of probes, which have no events. Retries and pauses are events of the
    span. If the pull fails it has the status ERROR, ``error.type``, and the exception, if that is
    one of this package. A pull that is never closed leaves nothing behind, and exports no span.

    **Metrics**, of the instrumentation scope ``aioburki``; counters, and a histogram of durations:

    ================================  =============  ====================================
    ``aioburki.client.requests``      ``{request}``  ``aioburki.outcome``, ``.status_class``
    ``aioburki.client.retries``       ``{request}``  ``aioburki.reason``
    ``aioburki.client.rate_limited``  ``{request}``  HTTP 429
    ``aioburki.client.pauses``        ``{pause}``    ``aioburki.reason``
    ``aioburki.client.wait.time``     ``s``          back-off, pauses and pacing
    ``aioburki.client.contacts``      ``{contact}``  delivered; counted when a pull ends
    ``aioburki.client.pull.duration``  ``s``         ``aioburki.outcome``, ``error.type``
    ================================  =============  ====================================

    The outcomes and reasons are those of the events, and the class of a status is such as ``2xx``,
    or ``none``. No attribute of a metric has the campaign or the pull. The requests of `count`,
    `page` and `split` are counted, without a span of ours.

    Args:
        tracer_provider: makes the spans; by default the global one.
        meter_provider: makes the metrics; by default the global one.

    Raises:
        ModuleNotFoundError: on import, if opentelemetry-api is not installed.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("aioburki", __version__, tracer_provider)
        # The state is kept in the context of the pull alone, and ends with it.
        self._key = otel_context.create_key("aioburki-pull")
        meter = metrics.get_meter("aioburki", __version__, meter_provider)
        name = "aioburki.client"
        self._requests = meter.create_counter(
            f"{name}.requests", unit="{request}", description="HTTP requests that were sent."
        )
        self._retries = meter.create_counter(
            f"{name}.retries", unit="{request}", description="Requests repeated after a failure."
        )
        self._rate_limited = meter.create_counter(
            f"{name}.rate_limited", unit="{request}", description="Responses of HTTP 429."
        )
        self._pauses = meter.create_counter(
            f"{name}.pauses", unit="{pause}", description="Waits that the server has caused."
        )
        self._wait_time = meter.create_counter(
            f"{name}.wait.time", unit="s", description="Time in back-off, pauses and pacing."
        )
        self._contacts = meter.create_counter(
            f"{name}.contacts", unit="{contact}", description="Contacts delivered by pulls."
        )
        self._duration = meter.create_histogram(
            f"{name}.pull.duration",
            unit="s",
            description="Duration of pulls.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )

    def __call__(self, event: Event) -> None:
        """Record *event*."""
        match event:
            case PullStarted():
                self._start(event)
            case RequestFinished():
                self._record_request(event)
            case RetryScheduled():
                self._retries.add(1, {"aioburki.reason": event.reason})
                self._add_event(event, "aioburki.retry", ("attempt", "reason", "delay", "detail"))
            case PauseStarted():
                self._pauses.add(1, {"aioburki.reason": event.reason})
                self._add_event(event, "aioburki.pause", ("reason", "seconds", "detail"))
            case PullFinished():
                self._finish(event)
            case _:
                pass  # a page: its request is counted already

    def _start(self, event: PullStarted) -> None:
        span = self._tracer.start_span(
            "pull contacts",
            attributes={
                "aioburki.pull.id": event.pull_id or "",
                "aioburki.campaign.id": event.campaign_id,
                "aioburki.pull.per_page": event.per_page,
                "aioburki.pull.is_range": event.is_range,
                **({} if event.status is None else {"aioburki.pull.status": event.status}),
                **({} if event.limit is None else {"aioburki.pull.limit": event.limit}),
            },
        )
        state = _PullState(event.pull_id, span)
        # In the context of the pull, which ends with it: nothing is detached.
        context = otel_context.set_value(self._key, state, trace.set_span_in_context(span))
        otel_context.attach(context)

    def _state(self, event: Event) -> _PullState | None:
        """Return the state of the pull of *event*; None if that is no pull."""
        state = otel_context.get_value(self._key)
        if isinstance(state, _PullState) and state.pull_id == event.pull_id:
            return state
        return None

    def _record_request(self, event: RequestFinished) -> None:
        status = event.status_code
        status_class = "none" if status is None else f"{status // 100}xx"
        self._requests.add(
            1, {"aioburki.outcome": event.outcome, "aioburki.status_class": status_class}
        )
        if event.outcome == "rate_limited":
            self._rate_limited.add(1)
        if event.waited > 0:
            self._wait_time.add(event.waited)
        if (state := self._state(event)) is not None:
            state.waited += event.waited

    def _add_event(
        self, event: RetryScheduled | PauseStarted, name: str, attributes: tuple[str, ...]
    ) -> None:
        if (state := self._state(event)) is not None:
            values: dict[str, AttributeValue] = {"aioburki.page": event.page}
            for attribute in attributes:
                values[f"aioburki.{attribute}"] = getattr(event, attribute)
            state.span.add_event(name, values)

    def _finish(self, event: PullFinished) -> None:
        report, error, state = event.report, event.error, self._state(event)
        labels: dict[str, AttributeValue] = {"aioburki.outcome": event.outcome}
        if error is not None:
            labels["error.type"] = _type_of(error)
        self._contacts.add(report.contacts)
        self._duration.record(report.elapsed, labels)
        if state is None:
            return
        # What was waited for without a request after it.
        if (waited := report.waited - state.waited) > 0:
            self._wait_time.add(waited)
        state.span.set_attributes(labels | _counts(report))
        if isinstance(error, BurkiError):
            state.span.record_exception(error)
        if error is not None:
            text = str(error) if isinstance(error, BurkiError) else None
            state.span.set_status(Status(StatusCode.ERROR, text))
        state.span.end()


def _type_of(error: Exception) -> str:
    """Return the class of *error*, by the semantic conventions; ``_OTHER`` if it is not ours."""
    return f"aioburki.{type(error).__name__}" if isinstance(error, BurkiError) else "_OTHER"


def _counts(report: PullReport) -> dict[str, AttributeValue]:
    return {f"aioburki.report.{name}": getattr(report, name) for name in _COUNTS}
