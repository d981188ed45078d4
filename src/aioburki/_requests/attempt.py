"""Attempt: one GET request and its outcome, a page or a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Generic, TypeVar

import anyio
import attrs
import httpx
from anyio import Lock  # by name: anyio imports late, and the first client would wait for it

from .._clock import loop_time
from .._decoding import PageDecoder, Undecodable, gc_paused
from .._endpoint import ListQuery
from .._http import (
    MAX_ERROR_BODY,
    BodyProblem,
    RedactedHttpLog,
    SendObserver,
    body_if_read,
    distrust_connection,
    read_body,
)
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import QuotaHeaders
from .echo_check import EchoCheck
from .failures import (
    Failure,
    failure_of_body,
    failure_of_connection,
    failure_of_content,
    failure_of_mismatch,
    failure_of_status,
)
from .request_id import read_request_id
from .response_headers import read_quota_headers
from .sender import Sender

T = TypeVar("T")

# Bytes. A body of this size in the documented shape is decoded in a quarter of a millisecond.
SMALL_BODY = 32_768


@attrs.frozen
class AttemptOutcome(Generic[T]):
    """The page or the failure of one request, and the status and quota headers of its response."""

    result: Page[T] | Failure
    quota: QuotaHeaders | None = None
    status_code: int | None = None


class AttemptRunner:
    """Send requests concurrently; decode their responses one at a time.

    Args:
        settings: API key, maximum size of a body, whether the collector may be paused.
        sender: sends the requests.
    """

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self._settings = settings
        self._sender = sender
        self._deadline = asyncio.timeout if sender.survives_cancellation else _anyio_deadline
        self._reading = Lock(fast_acquire=True)
        self._echoes = EchoCheck()

    def leave_loop(self) -> None:
        """Forget what runs on another event loop, which has ended."""
        self._reading = Lock(fast_acquire=True)

    @property
    def is_closed(self) -> bool:
        """Return whether the client that sends is closed."""
        return self._sender.is_closed

    async def run(
        self, query: ListQuery[T], window: PageWindow, observer: SendObserver, seconds: float
    ) -> AttemptOutcome[T]:
        """Send one request for *window* and return its outcome; failures are returned, not raised.

        The attempt's deadline, *seconds*, begins when the request is sent. *observer*
        learns when that is.

        Raises:
            Exception: what the user's transport or client raises and httpx does not, unchanged.
        """
        with RedactedHttpLog():
            if self._sender.survives_cancellation:
                return await self._run(query, window, observer, seconds)
            return await self._run_in_child_task(query, window, observer, seconds)

    async def _run_in_child_task(
        self, query: ListQuery[T], window: PageWindow, observer: SendObserver, seconds: float
    ) -> AttemptOutcome[T]:
        """Run in a child task, so that a cancellation reaches it as that of an anyio cancel scope.

        httpcore shields its clean-up against that, but not against `asyncio.Task.cancel`, after
        which its pool has lost a connection (https://github.com/encode/httpcore/issues/1093).
        """
        outcome: list[AttemptOutcome[T] | Exception] = []

        async def run() -> None:
            try:
                outcome.append(await self._run(query, window, observer, seconds))
            except Exception as error:  # noqa: BLE001 - passed on below, out of the group
                outcome.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(run, name="aioburki attempt")
        if not outcome:  # the child itself was cancelled
            raise asyncio.CancelledError
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    async def _run(
        self, query: ListQuery[T], window: PageWindow, observer: SendObserver, seconds: float
    ) -> AttemptOutcome[T]:
        response: httpx.Response | None = None
        body: bytes | BodyProblem = b""
        try:
            async with self._deadline(seconds) as deadline:
                if isinstance(deadline, asyncio.Timeout):
                    observer = _AttemptObserver(deadline, seconds, observer)
                response = await self._sender.send(query, window, observer, seconds)
                try:
                    is_page = response.status_code == 200
                    largest = self._settings.max_body if is_page else MAX_ERROR_BODY
                    body = await read_body(response, largest)
                finally:
                    await response.aclose()
                    # A response and its stream are a cycle, which would keep the body alive.
                    response.stream = httpx.ByteStream(b"")
        except httpx.HTTPStatusError as error:  # raised by a hook of the user's client
            response, body = error.response, body_if_read(error.response)
        except (httpx.HTTPError, OSError) as error:
            # An error status is reported even if its body is not complete.
            if response is None or response.status_code == 200:
                failure = failure_of_connection(error, self._sender.route)
                if response is None:
                    return AttemptOutcome(failure)
                self._add_request_id(failure, response)
                return AttemptOutcome(failure, status_code=response.status_code)
        # Responses that arrive together are decoded one after another, in turns of the event loop:
        # otherwise other tasks would wait until all of them are decoded.
        async with self._reading:
            await asyncio.sleep(0)
            return await self._read(query, window, response, body)

    async def _read(
        self,
        query: ListQuery[T],
        window: PageWindow,
        response: httpx.Response,
        body: bytes | BodyProblem,
    ) -> AttemptOutcome[T]:
        now = datetime.now(UTC)
        # Most servers send none of these headers, and looking up each of them takes time.
        has_quota = any(b"ratelimit" in name.lower() for name, _ in response.headers.raw)
        quota = read_quota_headers(response.headers, now) if has_quota else None
        readable = b"" if isinstance(body, BodyProblem) else body
        outcome: Page[T] | Failure | None = failure_of_status(
            response, readable, self._settings.api_key, now, quota
        )
        if outcome is None and isinstance(body, BodyProblem):
            outcome = failure_of_body(response.status_code, body, query.endpoint.noun)
        if outcome is None:
            pause_gc = self._settings.pause_gc
            outcome = await _page_or_failure(query, readable, pause_gc=pause_gc)
        if isinstance(outcome, Page):
            mismatch = self._echoes.mismatch(query, window, outcome.pagination)
            if mismatch is not None:
                distrust_connection(response)
                outcome = failure_of_mismatch(mismatch, query.endpoint.noun)
        if isinstance(outcome, Failure):
            self._add_request_id(outcome, response)
        return AttemptOutcome(outcome, quota, response.status_code)

    def _add_request_id(self, failure: Failure, response: httpx.Response) -> None:
        failure.error.request_id = read_request_id(response.headers, self._settings.api_key)


class _AttemptObserver:
    """Stop *deadline* while the request waits for a connection; then it begins anew."""

    def __init__(self, deadline: asyncio.Timeout, seconds: float, observer: SendObserver) -> None:
        self._deadline = deadline
        self._seconds = seconds
        self._observer = observer

    def record_wait(self) -> None:
        self._deadline.reschedule(None)
        self._observer.record_wait()

    def record_sent(self) -> None:
        self._deadline.reschedule(loop_time() + self._seconds)
        self._observer.record_sent()


@asynccontextmanager
async def _anyio_deadline(seconds: float) -> AsyncGenerator[None]:
    """Raise TimeoutError after *seconds*, by a cancellation that httpcore's clean-up ignores."""
    with anyio.fail_after(seconds):
        yield


async def _page_or_failure(
    query: ListQuery[T], body: bytes, *, pause_gc: bool
) -> Page[T] | Failure:
    page = await _decoded(query.endpoint.decoder, body, pause_gc=pause_gc)
    if isinstance(page, Undecodable):
        return failure_of_content(page, query.endpoint.noun)
    return page


async def _decoded(
    decoder: PageDecoder[T], body: bytes, *, pause_gc: bool
) -> Page[T] | Undecodable:
    """Decode *body*, in several turns of the loop unless it is small and as documented."""
    takes_turns = len(body) > SMALL_BODY
    steps = decoder.steps(body)
    while True:
        with gc_paused(enabled=pause_gc):
            page = next(steps)
        if page is not None:
            return page
        if takes_turns:
            await asyncio.sleep(0)
        takes_turns = True
