"""Exchange: one GET and what came of it: a page, or a failure that says what it means."""

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

from .._decoding import PageDecoder, Undecodable, gc_paused
from .._http import MAX_ERROR_BODY, BodyProblem, RedactedHttpLog, body_if_read, read_body
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import QuotaHeaders
from .endpoint import ListQuery
from .failures import (
    Failure,
    failure_of_body,
    failure_of_connection,
    failure_of_content,
    failure_of_status,
)
from .response_headers import read_quota_headers
from .sender import Sender

T = TypeVar("T")

# Decoded in a quarter of a millisecond, if it is as documented.
SMALL_BODY = 32_768


@attrs.frozen
class AttemptOutcome(Generic[T]):
    """The page or the failure of one request, and what the server told about its quota."""

    result: Page[T] | Failure
    quota: QuotaHeaders | None = None


class AttemptRunner:
    """Send requests and read their answers, one at a time.

    Args:
        settings: server, and how long an attempt may take.
        sender: sends the requests.
    """

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self._settings = settings
        self._sender = sender
        self._deadline = asyncio.timeout if sender.survives_cancellation else _anyio_deadline
        self._host = httpx.URL(settings.base_url).host
        self._reading = Lock(fast_acquire=True)

    @property
    def is_closed(self) -> bool:
        """Return whether the client that sends is closed."""
        return self._sender.is_closed

    async def run(self, query: ListQuery[T], window: PageWindow) -> AttemptOutcome[T]:
        """Ask for *window* once and return what came of it; raise nothing but cancellation."""
        with RedactedHttpLog():
            if self._sender.survives_cancellation:
                return await self._exchange(query, window)
            return await self._exchange_in_child_task(query, window)

    async def _exchange_in_child_task(
        self, query: ListQuery[T], window: PageWindow
    ) -> AttemptOutcome[T]:
        """Exchange in a child task, so that a cancellation arrives as one of an anyio scope.

        httpcore shields its clean-up against that, but not against `asyncio.Task.cancel`, after
        which its pool has lost a connection (https://github.com/encode/httpcore/issues/1093).
        """
        outcome: list[AttemptOutcome[T] | Exception] = []

        async def exchange() -> None:
            try:
                outcome.append(await self._exchange(query, window))
            except Exception as error:  # noqa: BLE001 - passed on below, out of the group
                outcome.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(exchange, name="aioburki exchange")
        if not outcome:  # the child itself was cancelled
            raise asyncio.CancelledError
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    async def _exchange(self, query: ListQuery[T], window: PageWindow) -> AttemptOutcome[T]:
        response: httpx.Response | None = None
        body: bytes | BodyProblem = b""
        try:
            async with self._deadline(self._settings.timeout):
                response = await self._sender.send(query, window)
                try:
                    is_page = response.status_code == 200
                    largest = self._settings.max_body if is_page else MAX_ERROR_BODY
                    body = await read_body(response, largest)
                finally:
                    await response.aclose()
                    # It and its stream hold each other, and with them all of the exchange.
                    response.stream = httpx.ByteStream(b"")
        except httpx.HTTPStatusError as error:  # raised by a hook of the user's client
            response, body = error.response, body_if_read(error.response)
        except (httpx.HTTPError, OSError) as error:
            # What the status says does not depend on the rest of the body, unless it is 200.
            if response is None or response.status_code == 200:
                return AttemptOutcome(failure_of_connection(error, self._host))
        # Answers that land together are read one after another, in this order and in turns of
        # the loop, or others would wait for the sum of them.
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
        # Most servers send none of the headers that would be looked for one by one.
        is_rationed = any(b"ratelimit" in name.lower() for name, _ in response.headers.raw)
        quota = read_quota_headers(response.headers, now) if is_rationed else None
        readable = b"" if isinstance(body, BodyProblem) else body
        outcome: Page[T] | Failure | None = failure_of_status(
            response, readable, self._settings.api_key.value, now, quota
        )
        if outcome is None and isinstance(body, BodyProblem):
            outcome = failure_of_body(response.status_code, body, query.endpoint.noun)
        if outcome is None:
            pause_gc = self._settings.pause_gc
            outcome = await _page_or_failure(query, window, readable, pause_gc=pause_gc)
        return AttemptOutcome(outcome, quota)


@asynccontextmanager
async def _anyio_deadline(seconds: float) -> AsyncGenerator[None]:
    """Raise TimeoutError after *seconds*, by a cancellation that httpcore's clean-up survives."""
    with anyio.fail_after(seconds):
        yield


async def _page_or_failure(
    query: ListQuery[T], window: PageWindow, body: bytes, *, pause_gc: bool
) -> Page[T] | Failure:
    noun = query.endpoint.noun
    page = await _decoded(query.endpoint.decoder, body, pause_gc=pause_gc)
    if isinstance(page, Undecodable):
        return failure_of_content(page, noun)
    if page.pagination.page != window.page:
        problem = f"pagination.page: page {page.pagination.page} came instead"
        return failure_of_content(Undecodable((problem,), broken=False), noun)
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
