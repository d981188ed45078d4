"""Events: their sums are the report's, a pull has one start and one end, reasons are bounded."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from event_sums import problems
from pages import KEY, PHONE, ListServer, page

from aioburki import (
    BurkiClient,
    BurkiError,
    ClientClosedError,
    Contacts,
    Event,
    PauseReason,
    PauseStarted,
    PullFinished,
    PullStarted,
    RequestFinished,
    RequestOutcome,
    RetryReason,
    RetryScheduled,
    ServerError,
    from_dict,
    to_dict,
)
from aioburki._requests.request_id import read_request_id
from aioburki._settings import Secret
from aioburki.export import export_csv
from aioburki.sandbox import Sandbox

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_clock]


async def read_list(contacts: Contacts) -> None:
    await contacts


async def pulled(
    answer: Callable[[int], httpx.Response], read: Any = read_list, **options: Any
) -> tuple[list[Any], list[Any]]:
    """Return the events of a pull of one page, and the errors; *answer* gets request numbers."""
    events: list[Any] = []
    errors: list[Any] = []
    numbers = iter(range(1, 10_000))

    def handle(request: httpx.Request) -> httpx.Response:
        return answer(next(numbers))

    async with BurkiClient(
        KEY, transport=httpx.MockTransport(handle), on_event=events.append, **options
    ) as burki:
        try:
            await read(burki.contacts(42))
        except BurkiError as error:
            errors.append(error)
    return events, errors


PAGE = page(1, 1000, [1, 2, 3])


def fails(response: httpx.Response) -> Callable[[int], httpx.Response]:
    return lambda _: response


def fails_once(failure: httpx.Response | Exception) -> Callable[[int], httpx.Response]:
    def answer(number: int) -> httpx.Response:
        if number > 1:
            return httpx.Response(200, json=PAGE)
        if isinstance(failure, Exception):
            raise failure
        return failure

    return answer


@pytest.mark.parametrize(
    ("failure", "reason", "status"),
    [
        (httpx.ReadTimeout(""), "timeout", None),
        (httpx.ConnectError(""), "connection", None),
        (httpx.Response(503, json={"detail": f"call {PHONE}"}), "busy", 503),
        (httpx.Response(502), "server_error", 502),
        (httpx.Response(408), "server_error", 408),
        (httpx.Response(200, content=b'{"contacts": ['), "incomplete", 200),
        (httpx.Response(200, json=page(2, 1000, [])), "mismatch", 200),
    ],
)
async def test_retries_have_a_reason_of_a_fixed_set(
    failure: Any, reason: RetryReason, status: int | None
) -> None:
    """The reason is fit for a metric's label; what the server said is in `detail`, masked."""
    events, _ = await pulled(fails_once(failure))
    (retry,) = (event for event in events if isinstance(event, RetryScheduled))
    assert retry.reason == reason
    assert reason in get_args(RetryReason)
    assert PHONE not in retry.detail
    first = next(event for event in events if isinstance(event, RequestFinished))
    assert (first.outcome, first.status_code, first.attempt) == ("retry", status, 1)
    assert problems(events) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda n: httpx.Response(429 if n == 1 else 200, json=PAGE), "rate_limited"),
        (
            lambda n: httpx.Response(
                429 if n == 1 else 200,
                json=PAGE | {"detail": "slow down"},
                headers={"retry-after": "3"},
            ),
            "rate_limited",
        ),
    ],
)
async def test_pauses_have_a_reason_of_a_fixed_set(answer: Any, reason: PauseReason) -> None:
    """A 429 is a pause of the reason "rate_limited", with the server's words beside."""
    events, _ = await pulled(answer)
    (pause,) = (event for event in events if isinstance(event, PauseStarted))
    assert pause.reason == reason
    assert pause.detail in ("HTTP 429", "HTTP 429: slow down")
    assert problems(events) == []


async def test_quota_and_measured_limit_are_reasons() -> None:
    """Waits for a quota, and at a measured limit, have reasons of their own."""

    def answer(number: int) -> httpx.Response:
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "20"}
        return httpx.Response(200, json=PAGE, headers=headers)

    async def twice(contacts: Contacts) -> None:
        await contacts
        await contacts

    events, _ = await pulled(answer, twice)
    pauses = [event for event in events if isinstance(event, PauseStarted)]
    assert [(pause.reason, pause.detail) for pause in pauses] == [("quota", "")]

    def refuse(number: int) -> httpx.Response:
        return httpx.Response(429 if number % 2 else 200, json=PAGE)

    async def often(contacts: Contacts) -> None:
        for _ in range(20):
            await contacts

    events, _ = await pulled(refuse, often, max_wait=10)
    reasons = {event.reason for event in events if isinstance(event, PauseStarted)}
    assert reasons == {"rate_limited", "measured_limit"}
    assert problems(events) == []


async def test_pull_that_begins_in_a_pause_tells_its_wait() -> None:
    """The pause that another pull's 429 has begun is told once more, with the new pull's id."""

    async def both(contacts: Contacts) -> None:
        first = asyncio.ensure_future(contacts.to_list())
        await asyncio.sleep(5)
        await asyncio.gather(first, contacts.to_list())

    def answer(number: int) -> httpx.Response:
        if number == 1:
            return httpx.Response(429, headers={"retry-after": "20"})
        return httpx.Response(200, json=PAGE)

    events, _ = await pulled(answer, both, max_wait=60)
    pauses = [event for event in events if isinstance(event, PauseStarted)]
    assert [pause.seconds for pause in pauses] == pytest.approx([20, 15], abs=0.01)
    assert len({pause.pull_id for pause in pauses}) == 2
    assert {pause.reason for pause in pauses} == {"rate_limited"}
    assert problems(events) == []


async def test_pull_that_begins_in_an_outage_tells_its_wait() -> None:
    """A request that waits for a server that is down since before reports a pause of its own."""
    events: list[Event] = []
    sandbox = Sandbox(30)
    async with BurkiClient(KEY, transport=sandbox.transport, on_event=events.append) as burki:
        contacts = burki.contacts(42, per_page=10, complete=False)
        assert len(await contacts) == 30
        sandbox.is_down = True
        first = asyncio.ensure_future(contacts.to_list())
        second = asyncio.ensure_future(contacts.to_list())
        await asyncio.sleep(8)
        third = asyncio.ensure_future(contacts.to_list())
        await asyncio.sleep(12)
        sandbox.is_down = False
        assert [len(each) for each in await asyncio.gather(first, second, third)] == [30] * 3
    pauses = [event for event in events if isinstance(event, PauseStarted)]
    assert pauses
    assert {pause.reason for pause in pauses} == {"outage"}
    assert all(1 <= pause.seconds <= 9 and pause.retry_after is None for pause in pauses)
    assert problems(events) == []


async def test_count_page_and_split_are_no_pulls() -> None:
    """They send `RequestFinished` alone, without a pull's id."""
    events: list[Event] = []
    transport = ListServer(range(1, 2001)).transport
    async with BurkiClient(KEY, transport=transport, on_event=events.append) as burki:
        contacts = burki.contacts(42)
        await contacts.count()
        await contacts.page(2)
        await contacts.split(4)
    assert {type(event) for event in events} == {RequestFinished}
    assert {(event.pull_id, event.campaign_id) for event in events} == {(None, 42)}
    assert len(events) == 1 + 1 + 4


async def test_events_of_a_pull_say_what_it_is() -> None:
    """The first event has the query, all have one id, and the ids of two pulls differ."""
    events: list[Event] = []
    other: list[Event] = []
    server = ListServer(range(1, 31))
    for seen in (events, other):
        async with BurkiClient(KEY, transport=server.transport, on_event=seen.append) as burki:
            await burki.contacts(42, per_page=10, limit=25)
    started = events[0]
    assert isinstance(started, PullStarted)
    assert (started.status, started.per_page, started.limit) == (None, 10, 25)
    assert (started.is_complete, started.is_range) == (True, False)
    assert {event.pull_id for event in events} == {started.pull_id}
    assert len(started.pull_id or "") == 16
    assert other[0].pull_id != started.pull_id
    assert {event.campaign_id for event in events} == {42}


async def test_last_event_has_the_report_and_the_error() -> None:
    """The report is that of the list, and the error the one that was raised."""
    events: list[Any] = []
    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=events.append) as burki:
        contacts = await burki.contacts(42, per_page=10)
        assert await burki.contacts(42, per_page=10, limit=0) == []
        assert await burki.contacts(42).first() is not None
    ends = [event for event in events if isinstance(event, PullFinished)]
    assert [event.outcome for event in ends] == ["done"] * 3
    assert ends[0].report == contacts.report
    assert ends[1].report.requests == 0
    events, (raised,) = await pulled(lambda _: httpx.Response(503), attempts=1)
    assert isinstance(raised, ServerError)
    assert (events[-1].outcome, events[-1].error) == ("failed", raised)
    assert problems(events) == []


async def test_closing_the_client_ends_its_pulls_once() -> None:
    """A pull whose client is closed has failed, with `ClientClosedError`."""
    events: list[Any] = []
    sandbox = Sandbox(300, latency=0.1)
    burki = BurkiClient(KEY, transport=sandbox.transport, on_event=events.append)
    async with burki.contacts(42, per_page=10).stream() as stream:
        await asyncio.sleep(0.05)
        await burki.aclose()
        with pytest.raises(ClientClosedError):
            async for _ in stream:
                pass
    assert isinstance(events[-1], PullFinished)
    assert isinstance(events[-1].error, ClientClosedError)
    assert problems(events) == []
    assert any(
        event.outcome == "cancelled" for event in events if isinstance(event, RequestFinished)
    )


async def test_tables_and_exports_have_events_too(tmp_path: Path) -> None:
    """`to_arrow`, `batches`, a resumable export and a plain one are pulls like others."""
    events: list[Any] = []
    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=events.append) as burki:
        contacts = burki.contacts(42, per_page=10)
        await contacts.to_arrow()
        async for _ in contacts.batches():
            pass
        await export_csv(contacts, tmp_path / "a.csv")
        await export_csv(contacts, tmp_path / "b.csv", resume=True)
    assert problems(events) == []
    assert sum(isinstance(event, PullFinished) for event in events) == 4
    assert {event.outcome for event in events if isinstance(event, PullFinished)} == {"done"}


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError()])
async def test_callback_that_always_raises_harms_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Also a cancellation that a callback raises, from a future of its own, ends nothing."""
    seen: list[str] = []

    def on_event(event: Event) -> None:
        seen.append(type(event).__name__)
        raise error

    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=on_event) as burki:
        assert len(await burki.contacts(42, per_page=10)) == 30
    assert {"PullStarted", "RequestFinished", "PageFetched", "PullFinished"} <= set(seen)
    assert caplog.text.count("on_event failed for") == len(seen)


async def test_pull_that_is_closed_twice_ends_once() -> None:
    """A block that is left again, by hand, sends no further event."""
    events: list[Any] = []
    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=events.append) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            pass
        await stream.__aexit__(None, None, None)
    assert [event.outcome for event in events if isinstance(event, PullFinished)] == ["stopped"]
    assert problems(events) == []


async def test_broken_transport_fails_its_request(caplog: pytest.LogCaptureFixture) -> None:
    """What a user's transport raises is the error of the pull; its text is shown nowhere."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise LookupError("mine")

    events: list[Any] = []
    transport = httpx.MockTransport(fail)
    async with BurkiClient(KEY, transport=transport, on_event=events.append) as burki:
        with pytest.raises(LookupError):
            await burki.contacts(42)
    assert [event.outcome for event in events if isinstance(event, RequestFinished)] == ["failed"]
    assert isinstance(events[-1].error, LookupError)
    assert problems(events) == []
    shown = [repr(events[-1]), str(to_dict(events[-1])), str(caplog.records[-1].__dict__)]
    assert all("LookupError" in text and "mine" not in text for text in shown)


async def test_log_records_carry_the_events(caplog: pytest.LogCaptureFixture) -> None:
    """Each event is a log record with its attributes, by names that no record has itself."""
    events, _ = await pulled(fails_once(httpx.Response(502)))
    records = [record for record in caplog.records if record.name == "aioburki"]
    plain = logging.LogRecord("x", 0, "x", 0, "", (), None).__dict__
    for event, record in zip(events, records, strict=True):
        fields = record.__dict__
        assert fields["event_type"] == type(event).__name__
        assert (fields["pull_id"], fields["campaign_id"]) == (event.pull_id, 42)
        if isinstance(event, RetryScheduled):
            assert (fields["page"], fields["reason"], fields["delay"]) == (
                1, "server_error", event.delay,
            )  # fmt: skip
    ended = records[-1].__dict__
    assert (ended["requests"], ended["retries"], ended["contacts"]) == (2, 1, 3)
    assert (ended["outcome"], ended["error"], ended["proof"]) == ("done", None, "single page")
    assert not {"event_type", "pull_id", "campaign_id", "page", "outcome", "error"} & set(plain)


async def test_error_of_a_pull_is_text_in_the_log_and_plain_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log has the error's text; `to_dict` its class and text; `from_dict` takes no errors."""
    events, (error,) = await pulled(lambda _: httpx.Response(404))
    assert caplog.records[-1].__dict__["error"] == str(error)
    last = to_dict(events[-1])
    assert last["error"] == {"type": "NotFoundError", "message": str(error)}
    assert last["report"]["requests"] == 1
    with pytest.raises(TypeError):
        from_dict(PullFinished, last)


@pytest.mark.parametrize("has_callback", [False, True])
async def test_no_log_record_is_made_that_nobody_reads(
    has_callback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With the usual level of the logger there is no record, and events are as always."""
    caplog.set_level(logging.WARNING, "aioburki")
    events: list[Event] = []
    answer = fails_once(httpx.Response(502))
    numbers = iter(range(1, 9))
    transport = httpx.MockTransport(lambda _: answer(next(numbers)))
    on_event = events.append if has_callback else None
    async with BurkiClient(KEY, transport=transport, on_event=on_event) as burki:
        contacts = await burki.contacts(42)
    assert (contacts.report.requests, contacts.report.retries) == (2, 1)
    assert not [record for record in caplog.records if record.name == "aioburki"]
    assert len(events) == (6 if has_callback else 0)


async def test_warnings_have_the_pull(caplog: pytest.LogCaptureFixture) -> None:
    """The warnings at the end of a pull say of which pull they are."""
    broken = page(1, 1000, [1, 2, 3])
    broken["contacts"][0]["created_at"] = "never"
    events, _ = await pulled(lambda _: httpx.Response(200, json=broken))
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    fields = warning.__dict__
    assert (fields["pull_id"], fields["campaign_id"]) == (events[0].pull_id, 42)


async def test_sets_of_reasons_are_exported() -> None:
    """Labels of metrics can be made from them."""
    assert "retry" in get_args(RequestOutcome)
    assert {"timeout", "connection", "server_error", "busy"} < set(get_args(RetryReason))
    assert {"rate_limited", "quota", "measured_limit", "limiter"} < set(get_args(PauseReason))


async def test_events_run_in_the_context_of_the_pull() -> None:
    """What `PullStarted` sets holds for all events and requests of the pull, not for the caller."""
    from contextvars import ContextVar  # noqa: PLC0415 - of this test alone

    var: ContextVar[str] = ContextVar("var", default="outside")
    seen: set[tuple[str | None, str]] = set()

    def on_event(event: Event) -> None:
        if isinstance(event, PullStarted):
            assert var.get() == "outside"
            var.set(event.pull_id or "")
        seen.add((event.pull_id, var.get()))

    class Seeing(httpx.AsyncBaseTransport):
        sandbox = Sandbox(100, faults={"503": 0.3}, seed=5)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            values.add(var.get())
            return await self.sandbox.transport.handle_async_request(request)

    async def inner(contacts: Contacts) -> None:
        async for _ in contacts:
            assert var.get() == "outside"

    values: set[str] = set()
    async with BurkiClient(KEY, transport=Seeing(), on_event=on_event) as burki:
        contacts = burki.contacts(42, per_page=10)
        async for contact in contacts:
            assert var.get() == "outside"
            if contact.id % 50 == 1:
                await inner(contacts)
        assert values == {pull_id for pull_id, _ in seen}
        assert all(pull_id == value for pull_id, value in seen)
        await contacts.count()
    assert (None, "outside") in seen


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({}, None),
        ({"x-request-id": ""}, None),
        ({"x-request-id": "req_7Yb"}, "req_7Yb"),
        ({"x-request-id": "a", "cf-ray": "b"}, "a"),
        ({"cf-ray": "8f2b123456789abc-FRA"}, "8f2b123456789abc-FRA"),
        (
            {"x-request-id": "01234567-89ab-4cde-8f01-446655440000"},
            "01234567-89ab-4cde-8f01-446655440000",
        ),
        ({"x-request-id": f"for {PHONE}"}, "for [number]"),
        ({"x-request-id": "1234567890123456"}, "[number]"),
        ({"x-request-id": f"{KEY}/7"}, "[API key]/7"),
        ({"x-request-id": "z" * 5000}, "z" * 128),
    ],
)
async def test_errors_carry_the_request_id(headers: dict[str, str], request_id: str | None) -> None:
    """It is in the text, survives pickling, and is masked and cut like all of the server's."""
    for status in (404, 200):
        response = httpx.Response(status, headers=headers, json={})
        _, (error,) = await pulled(fails(response))
        assert error.request_id == request_id
        assert pickle.loads(pickle.dumps(error)).request_id == request_id
        assert (f", request {request_id})" in str(error)) == (request_id is not None)


async def test_key_of_the_form_of_an_id_is_masked() -> None:
    """A key in hexadecimal digits is no request id."""
    key = "0123456789abcdef0123456789abcdef"
    assert read_request_id({"x-request-id": key}, Secret(key)) == "[API key]"


async def test_response_that_breaks_has_its_request_id() -> None:
    """A 200 whose body breaks has a status and an id."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"{"
            raise httpx.ReadError("cut")

    headers = {"x-request-id": "req_9"}
    events, (error,) = await pulled(
        lambda _: httpx.Response(200, headers=headers, stream=Broken()), attempts=1
    )
    assert error.request_id == "req_9"
    assert next(e for e in events if isinstance(e, RequestFinished)).status_code == 200
