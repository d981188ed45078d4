"""Exchange: one GET and what came of it: a page, or a failure that says what it means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import attrs
import httpx
from anyio import Lock  # by name: anyio imports late, and the first client would wait for it

from .._decoding import Undecodable, decode_in_steps, gc_paused
from .._http import MAX_ERROR_BODY, BodyProblem, RedactedHttpLog, body_if_read, read_body
from .._models import ContactPage
from .._query import ContactQuery, PageWindow
from .._settings import Settings
from .._throttle import QuotaHeaders, read_quota_headers
from .failures import (
    Failure,
    failure_of_body,
    failure_of_connection,
    failure_of_content,
    failure_of_status,
)
from .sender import Sender

# Decoded in a quarter of a millisecond, if it is as documented.
SMALL_BODY = 32_768


@attrs.frozen
class Answer:
    """Hold what came of a request, and what the server said is left of its rate limit."""

    outcome: ContactPage | Failure
    quota: QuotaHeaders | None = None


class AttemptRunner:
    """Send requests and read their answers, one at a time.

    Args:
        settings: where to, and how long an exchange may take.
        sender: what sends.
        is_ours: whether it sends over our own lanes.
    """

    def __init__(self, settings: Settings, sender: Sender, *, is_ours: bool) -> None:
        self._settings = settings
        self._sender = sender
        self._is_ours = is_ours
        self._deadline = asyncio.timeout if is_ours else _deadline_of_anyio
        self._host = httpx.URL(settings.base_url).host
        self._reading = Lock(fast_acquire=True)

    @property
    def is_closed(self) -> bool:
        """Tell whether somebody has closed what sends."""
        return self._sender.is_closed

    async def exchange(self, query: ContactQuery, window: PageWindow) -> Answer:
        """Ask for *window* once and return what came of it; raise nothing but cancellation."""
        # A pool of httpx loses a connection for good when a request in it is cancelled, and logs
        # what it likes; lanes do neither.
        if self._is_ours:
            return await self._exchange(query, window)
        with RedactedHttpLog():
            return await self._exchange_in_child(query, window)

    async def _exchange_in_child(self, query: ContactQuery, window: PageWindow) -> Answer:
        """Exchange in a task of its own, where a cancellation comes as that of an anyio scope.

        Against that the clean-up of httpx is shielded, against a task's own it is not.
        """
        outcome: list[Answer | Exception] = []

        async def exchange() -> None:
            try:
                outcome.append(await self._exchange(query, window))
            except Exception as error:  # noqa: BLE001 - passed on below, out of the group
                outcome.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(exchange, name="aioburki exchange")
        if not outcome:  # somebody has cancelled the child itself
            raise asyncio.CancelledError
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    async def _exchange(self, query: ContactQuery, window: PageWindow) -> Answer:
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
                return Answer(failure_of_connection(error, self._host))
        # Answers that land together are read one after another, in this order and in turns of
        # the loop, or others would wait for the sum of them.
        async with self._reading:
            await asyncio.sleep(0)
            return await self._read(window, response, body)

    async def _read(
        self, window: PageWindow, response: httpx.Response, body: bytes | BodyProblem
    ) -> Answer:
        now = datetime.now(UTC)
        # Most servers send none of the headers that would be looked for one by one.
        is_rationed = any(b"ratelimit" in name.lower() for name, _ in response.headers.raw)
        quota = read_quota_headers(response.headers, now) if is_rationed else None
        readable = b"" if isinstance(body, BodyProblem) else body
        outcome: ContactPage | Failure | None = failure_of_status(
            response, readable, self._settings.api_key.value, now, quota
        )
        if outcome is None and isinstance(body, BodyProblem):
            outcome = failure_of_body(response.status_code, body)
        if outcome is None:
            pause_gc = self._settings.pause_gc
            outcome = await _page_or_failure(window, readable, pause_gc=pause_gc)
        return Answer(outcome, quota)


@asynccontextmanager
async def _deadline_of_anyio(seconds: float) -> AsyncGenerator[None]:
    """End the block with TimeoutError, in the way of which httpx's clean-up is shielded."""
    with anyio.fail_after(seconds):
        yield


async def _page_or_failure(
    window: PageWindow, body: bytes, *, pause_gc: bool
) -> ContactPage | Failure:
    page = await _decoded(body, pause_gc=pause_gc)
    if isinstance(page, Undecodable):
        return failure_of_content(page)
    if page.pagination.page != window.page:
        problem = f"pagination.page: page {page.pagination.page} came instead"
        return failure_of_content(Undecodable((problem,), broken=False))
    return page


async def _decoded(body: bytes, *, pause_gc: bool) -> ContactPage | Undecodable:
    """Decode *body*, in several turns of the loop unless it is small and as documented."""
    takes_turns = len(body) > SMALL_BODY
    steps = decode_in_steps(body)
    while True:
        with gc_paused(enabled=pause_gc):
            page = next(steps)
        if page is not None:
            return page
        if takes_turns:
            await asyncio.sleep(0)
        takes_turns = True
