"""The fetcher: one page, from the request that is sent to the page or the error."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from pages import KEY, PASSWORD, PHONE, body, page

from aioburki import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BurkiClient,
    BurkiError,
    ConnectionFailedError,
    Event,
    PageFetched,
    PauseStarted,
    RateLimitError,
    RequestTimeoutError,
    ResponseDecodeError,
    RetryScheduled,
    ServerError,
    UnexpectedResponseError,
)

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

URL = "https://api.burki.dev/api/v1/campaigns/42/contacts"
PAGE = httpx.Response(200, json=page(1, 1000, [1, 2, 3]))

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script:
    """Answer with each of *answers* in turn, then always with the last; record the times."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.times: list[float] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.times), len(self.answers) - 1)]
        self.times.append(asyncio.get_running_loop().time())
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )
        return answer(request)

    def client(self, **settings: object) -> BurkiClient:
        transport = httpx.MockTransport(self)
        return BurkiClient(KEY, transport=transport, **settings)  # type: ignore[arg-type]


async def test_request_is_what_the_api_documents() -> None:
    """Path, parameters and headers are those of the API's reference page, and no others."""
    script = Script(PAGE)
    async with script.client() as burki:
        await burki.contacts(42, status="no_answer", per_page=1000)
    (request,) = script.requests
    assert request.method == "GET"
    assert str(request.url) == f"{URL}?page=1&per_page=1000&status=no_answer"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["user-agent"].startswith("aioburki/")
    assert "cookie" not in request.headers
    assert request.content == b""


async def test_base_url_may_have_a_path() -> None:
    """A gateway's prefix stays before the API's path."""
    script = Script(PAGE)
    async with script.client(base_url="https://gate.example/burki/") as burki:
        await burki.contacts(7).count()
    assert script.requests[0].url.path == "/burki/api/v1/campaigns/7/contacts"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("x"), httpx.ReadError("x"), httpx.WriteError("x"),
        httpx.ConnectTimeout("x"), httpx.ReadTimeout("x"), httpx.PoolTimeout("x"),
        httpx.RemoteProtocolError("Server disconnected"), httpx.ProxyError("x"),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=body(page(1, 1000, [1]))[:-30]),
        *(httpx.Response(status) for status in (408, 425, 500, 502, 503, 504, *range(520, 531))),
    ],
    ids=lambda failure: getattr(failure, "status_code", type(failure).__name__),
)  # fmt: skip
async def test_transient_failures_are_retried(failure: Answer) -> None:
    """A transient failure costs a retry and no contact."""
    script = Script(failure, failure, PAGE)
    async with script.client() as burki:
        contacts = await burki.contacts(42)
    assert [contact.id for contact in contacts] == [1, 2, 3]
    assert (contacts.report.requests, contacts.report.retries) == (3, 2)
    assert contacts.report.waited > 0
    assert contacts.report.consistent


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.ConnectError("x"), ConnectionFailedError),
        (httpx.ReadTimeout("x"), RequestTimeoutError),
        (httpx.Response(503), ServerError),
        (httpx.Response(408), APIError),
        (httpx.Response(200, content=b"{"), ResponseDecodeError),
    ],
)
async def test_lasting_failures_are_raised_after_all_attempts(
    answer: Answer, kind: type[BurkiError]
) -> None:
    """After `attempts` requests the error says what failed, where and how often."""
    script = Script(answer)
    async with script.client(attempts=4) as burki:
        with pytest.raises(kind) as caught:
            await burki.contacts(42)
    assert len(script.requests) == 4
    error = caught.value
    assert (error.campaign_id, error.page, error.attempts) == (42, 1, 4)
    assert "(campaign 42, page 1, 4 attempts)" in str(error)
    assert error.__cause__ is error.__context__ is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400), httpx.Response(401), httpx.Response(403), httpx.Response(404),
        httpx.Response(409), httpx.Response(422), httpx.Response(501), httpx.Response(505),
        httpx.Response(301, headers={"location": "https://evil.example"}), httpx.Response(204),
        httpx.Response(200, content=b"<html></html>"), httpx.Response(200, json={}),
        httpx.Response(200, headers={"content-encoding": "br"}, content=b"x"),
        httpx.UnsupportedProtocol("x"), httpx.LocalProtocolError("x"),
    ],
    ids=str,
)  # fmt: skip
async def test_other_failures_are_raised_at_once(answer: Answer) -> None:
    """A failure that another attempt cannot change is not retried."""
    script = Script(answer)
    async with script.client() as burki:
        with pytest.raises(BurkiError) as caught:
            await burki.contacts(42)
    assert len(script.requests) == 1
    assert caught.value.attempts == 1


async def test_back_off_grows_from_attempt_to_attempt() -> None:
    """The waits between attempts stay within their jitter ranges."""
    script = Script(httpx.Response(500))
    async with script.client() as burki:
        with pytest.raises(ServerError):
            await burki.contacts(42)
    gaps = [later - sooner for sooner, later in zip(script.times, script.times[1:], strict=False)]
    ranges = (0.1, 0.3, 0.9, 2.7, 8.1)
    assert all(0 <= gap <= end + 1e-6 for gap, end in zip(gaps, ranges, strict=True))


async def test_retry_after_of_a_503_is_waited_out() -> None:
    """A server that names a time gets no request before it."""
    script = Script(httpx.Response(503, headers={"retry-after": "17.5"}), PAGE)
    async with script.client() as burki:
        await burki.contacts(42)
    assert 17.5 <= script.times[1] - script.times[0] < 17.6


async def test_retry_after_of_a_503_beyond_max_wait_is_raised() -> None:
    """A maintenance of a day is raised and not waited out; the error says so."""
    script = Script(httpx.Response(503, headers={"retry-after": "86400"}))
    async with script.client() as burki:
        with pytest.raises(ServerError, match="503; the server asks to wait 86,400 s, longer than"):
            await burki.contacts(42)
    assert len(script.requests) == 1


async def test_429s_of_one_instant_are_one_pause() -> None:
    """Eight 429s to requests that were in flight together are reported once."""
    pauses: list[Event] = []
    is_refusing, calls = False, 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        number = int(request.url.params["page"])
        await asyncio.sleep(0.1)
        if is_refusing and 2 <= calls <= 9:  # those in flight together after page 1
            return httpx.Response(429, headers={"retry-after": "2"})
        return httpx.Response(200, json=page(number, 10, range(200)))

    def listen(event: Event) -> None:
        if isinstance(event, PauseStarted):
            pauses.append(event)

    transport = httpx.MockTransport(handler)
    async with BurkiClient(KEY, transport=transport, on_event=listen) as burki:
        await burki.contacts(42, per_page=10)  # ends the slow start
        is_refusing, calls = True, 0
        contacts = await burki.contacts(42, per_page=10)
    assert contacts.report.rate_limited == 8
    assert len(pauses) == 1
    assert 2 <= contacts.report.elapsed <= 4


@pytest.mark.parametrize("in_date", [False, True])
async def test_429_is_waited_out_and_counts_as_no_attempt(in_date: bool) -> None:
    """However many 429s come within max_wait, the page is fetched."""

    def refuse(_: httpx.Request) -> httpx.Response:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=6), usegmt=True)
        return httpx.Response(429, headers={"retry-after": date if in_date else "5"})

    script = Script(*[refuse] * 10, PAGE)
    async with script.client(attempts=1) as burki:
        contacts = await burki.contacts(42)
    assert contacts.report.rate_limited == 10
    assert contacts.report.retries == 0
    assert contacts.report.requests == 11
    gaps = [later - sooner for sooner, later in zip(script.times, script.times[1:], strict=False)]
    assert all(4.9 <= gap <= 6.3 for gap in gaps)


async def test_429s_leave_all_attempts_for_other_failures() -> None:
    """A page that got 429s still has all its attempts for other failures."""
    refused = httpx.Response(429, headers={"retry-after": "1"})
    script = Script(refused, refused, httpx.Response(503), refused, PAGE)
    async with script.client(attempts=2) as burki:
        report = (await burki.contacts(42)).report
    assert (report.rate_limited, report.retries) == (3, 1)


async def test_429_beyond_max_wait_is_raised_at_once() -> None:
    """A wait beyond max_wait is neither shortened nor waited out."""
    script = Script(httpx.Response(429, headers={"retry-after": "121"}), PAGE)
    async with script.client() as burki:
        start = asyncio.get_running_loop().time()
        with pytest.raises(RateLimitError) as caught:
            await burki.contacts(42)
        assert asyncio.get_running_loop().time() == start
        assert caught.value.retry_after == 121
        assert caught.value.status_code == 429
        # Other requests do not wait for it either.
        assert len(await burki.contacts(42)) == 3
        assert asyncio.get_running_loop().time() == start


async def test_429s_without_a_success_end_after_max_wait() -> None:
    """A server that only answers 429 is given up; the next pull has max_wait again."""
    script = Script(httpx.Response(429, headers={"retry-after": "30"}))
    async with script.client() as burki:
        for _ in range(2):
            start = asyncio.get_running_loop().time()
            with pytest.raises(RateLimitError):
                await burki.contacts(42)
            assert asyncio.get_running_loop().time() - start <= 151
    assert len(script.requests) == 8


async def test_max_wait_zero_waits_for_nothing() -> None:
    """With max_wait=0 the first 429 is raised, whatever it asks for."""
    for headers in ({}, {"retry-after": "1"}):
        script = Script(httpx.Response(429, headers=headers))
        async with script.client(max_wait=0) as burki:
            with pytest.raises(RateLimitError):
                await burki.contacts(42)
        assert len(script.requests) == 1


async def test_slow_body_ends_at_the_deadline_of_the_attempt() -> None:
    """A body that never ends is bounded by `timeout`, which is no read timeout."""

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.2)

    script = Script(lambda _: httpx.Response(200, stream=Drip()), PAGE)
    async with script.client(timeout=2) as burki:
        start = asyncio.get_running_loop().time()
        assert len(await burki.contacts(42)) == 3
        assert 2 <= asyncio.get_running_loop().time() - start <= 2.2


async def test_redirects_are_not_followed_even_if_the_users_client_would() -> None:
    """The key is not sent to a redirect's target, nor replaced by the auth of the user's client."""
    script = Script(httpx.Response(307, headers={"location": "https://evil.example/"}))
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(script), follow_redirects=True, auth=("me", PASSWORD)
    )
    async with BurkiClient(KEY, http_client=http) as burki:
        with pytest.raises(UnexpectedResponseError, match="redirect"):
            await burki.contacts(42)
    assert [request.url.host for request in script.requests] == ["api.burki.dev"]
    assert script.requests[0].headers["authorization"] == f"Bearer {KEY}"
    await http.aclose()


async def test_events_report_pages_retries_and_pauses() -> None:
    """on_event gets each event once, without any contact data."""
    events: list[Event] = []
    script = Script(httpx.Response(429, headers={"retry-after": "3"}), httpx.Response(502), PAGE)
    async with script.client(on_event=events.append) as burki:
        await burki.contacts(42)
    assert [type(event).__name__ for event in events] == [
        "PullStarted",
        *("RequestFinished", "PauseStarted"),
        *("RequestFinished", "RetryScheduled"),
        *("RequestFinished", "PageFetched"),
        "PullFinished",
    ]
    pause, retry, fetched = events[2], events[4], events[6]
    assert isinstance(pause, PauseStarted)
    assert (pause.campaign_id, pause.page, pause.retry_after) == (42, 1, 3.0)
    assert pause.seconds == pytest.approx(3.0)
    assert isinstance(retry, RetryScheduled)
    assert (retry.attempt, retry.reason, retry.detail) == (2, "server_error", "HTTP 502")
    assert isinstance(fetched, PageFetched)
    assert (fetched.contacts, fetched.total_pages, fetched.total_items) == (3, 1, 3)
    assert fetched.attempts == 3
    assert fetched.seconds >= 3
    assert PHONE not in repr(events)


async def test_exception_in_on_event_does_not_end_the_pull(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exception in on_event is logged, and the pull goes on."""

    def listen(event: Event) -> None:
        raise RuntimeError("metrics are down")

    script = Script(PAGE)
    async with script.client(on_event=listen) as burki:
        assert len(await burki.contacts(42)) == 3
    assert "on_event failed for PageFetched" in caplog.text
    caplog.clear()


async def test_retries_pauses_and_pages_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Retries and pauses are logged at INFO, pages at DEBUG."""
    script = Script(httpx.Response(429, headers={"retry-after": "3"}), httpx.Response(502), PAGE)
    async with script.client() as burki:
        await burki.contacts(42)
    lines = [(record.levelno, record.getMessage()) for record in caplog.records
             if record.name == "aioburki"]  # fmt: skip
    pause, retry = [line for level, line in lines if level == logging.INFO]
    assert pause.startswith("campaign 42 page 1: HTTP 429, all requests wait 3.00 s")
    assert retry.startswith("campaign 42 page 1 attempt 2: HTTP 502; again in ")
    details = [line for level, line in lines if level == logging.DEBUG]
    assert details[0] == "campaign 42: pull started"
    assert "campaign 42 page 1: 3 contacts, 3 attempts" in details[-2]
    assert details[-1].startswith("campaign 42: pull done, 3 contacts, 3 requests")


async def test_status_counts_although_the_body_is_incomplete() -> None:
    """A 401 is a 401 and a 429 a 429, even if the connection breaks within the body."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"detail": "'
            raise httpx.ReadError("cut")

    def cut(status: int, **headers: str) -> Answer:
        return lambda _: httpx.Response(status, headers=headers, stream=Broken())

    script = Script(cut(401))
    async with script.client() as burki:
        with pytest.raises(AuthenticationError):
            await burki.contacts(42)
    assert len(script.requests) == 1
    script = Script(cut(429, **{"retry-after": "60"}), PAGE)
    async with script.client() as burki:
        contacts = await burki.contacts(42)
    assert contacts.report.rate_limited == 1
    assert contacts.report.elapsed >= 60


async def test_untranslated_socket_errors_are_retried() -> None:
    """An OSError that httpx does not translate is a broken connection."""
    script = Script(ssl.SSLError("bad record"), ConnectionResetError(), PAGE)
    async with script.client() as burki:
        assert (await burki.contacts(42)).report.retries == 2


@pytest.mark.parametrize(("wait", "latency"), [("0.001", 0.0), ("0.01", 0.2), ("0.5", 2.0)])
async def test_max_wait_bounds_the_time_under_429s(wait: str, latency: float) -> None:
    """Short waits and slow 429s do not add up beyond max_wait."""

    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(latency)
        return httpx.Response(429, headers={"retry-after": wait})

    transport = httpx.MockTransport(handler)
    async with BurkiClient(KEY, transport=transport, max_wait=10) as burki:
        start = asyncio.get_running_loop().time()
        with pytest.raises(RateLimitError):
            await burki.contacts(42)
        assert 7 <= asyncio.get_running_loop().time() - start <= 10 + 2 * latency + 0.2


async def test_waits_are_added_up() -> None:
    """The report's `waited` is the sum over requests that waited at the same time."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        return httpx.Response(200, json=page(number, 1, range(41)))

    transport = httpx.MockTransport(handler)
    async with BurkiClient(KEY, transport=transport, rate=20, concurrency=16) as burki:
        await burki.contacts(42, per_page=1)  # ends the slow start
        report = (await burki.contacts(42, per_page=1)).report
    # Page 2 to 41, sixteen at a time in the queue, each waiting for those before it.
    assert report.elapsed == pytest.approx(2.0, rel=0.1)
    assert 20 <= report.waited <= 32


async def test_hooks_of_the_users_client_may_read_or_raise() -> None:
    """A response hook may read the body, call raise_for_status, or both."""

    async def read(response: httpx.Response) -> None:
        await response.aread()

    async def complain(response: httpx.Response) -> None:
        response.raise_for_status()

    async def read_and_complain(response: httpx.Response) -> None:
        await response.aread()
        response.raise_for_status()

    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield PAGE.content

    for hook in (read, complain, read_and_complain):
        script = Script(
            lambda _: httpx.Response(503, stream=Slow()),
            lambda _: httpx.Response(200, stream=Slow()),
        )
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(script), event_hooks={"response": [hook]}
        ) as http:
            async with BurkiClient(KEY, http_client=http) as burki:
                contacts = await burki.contacts(42)
                assert len(contacts) == 3
                assert contacts.report.retries == 1
                script.answers = (httpx.Response(401, json={"detail": "no"}),)
                with pytest.raises(AuthenticationError) as caught:
                    await burki.contacts(42)
                # The body of a mock response is read before the hook runs.
                assert caught.value.detail == "no"


async def test_transport_that_is_falsy_is_used() -> None:
    """A transport with __len__ 0 is not replaced by the default one."""

    class Empty(httpx.MockTransport):
        def __len__(self) -> int:
            return 0

    script = Script(PAGE)
    async with BurkiClient(KEY, transport=Empty(script)) as burki:
        assert len(await burki.contacts(42)) == 3
    assert len(script.requests) == 1


async def test_other_exceptions_of_a_transport_are_raised_unchanged() -> None:
    """An exception of the user's transport is neither translated nor put into a group."""
    script = Script(ZeroDivisionError("theirs"))
    async with script.client() as burki:
        with pytest.raises(ZeroDivisionError, match="theirs"):
            await burki.contacts(42)
    assert len(script.requests) == 1


async def test_cancelled_task_of_an_attempt_cancels_the_pull() -> None:
    """Cancelling the task in which a request is sent raises CancelledError from the pull."""

    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        pull = asyncio.ensure_future(burki.contacts(42))
        await asyncio.sleep(1)
        (task,) = (t for t in asyncio.all_tasks() if t.get_name() == "aioburki attempt")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull


async def test_large_error_bodies_are_not_read() -> None:
    """The error of a 400 whose body is larger than the bound has no detail."""
    script = Script(httpx.Response(400, content=b'{"detail": "' + b"x" * 300_000 + b'"}'))
    async with script.client() as burki:
        with pytest.raises(BadRequestError) as caught:
            await burki.contacts(42)
    assert caught.value.detail is None


async def test_cookies_are_not_kept() -> None:
    """A cookie that the server sets is not sent back."""
    script = Script(
        lambda request: httpx.Response(
            200,
            headers={"set-cookie": f"c{request.url.params['page']}=x"},
            json=page(int(request.url.params["page"]), 1, [1, 2, 3]),
        )
    )
    async with script.client() as burki:
        await burki.contacts(42, per_page=1)
    assert not [request for request in script.requests if "cookie" in request.headers]
