"""Fetch: one page, whatever it takes: slot → pace → GET → classify → decode, or back off."""

from __future__ import annotations

import asyncio
import logging
import platform
import random
from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import attrs
import httpx
from anyio import Lock, Semaphore

from ._body import LARGEST_BODY, LARGEST_ERROR_BODY, BodyProblem, body_if_read, read_body
from ._budget import read_allowance
from ._collector import collector_at_rest
from ._decode import decode_page
from ._errors import ClientClosedError, TransportError
from ._events import Event, PageFetched, PauseStarted, RetryScheduled
from ._failure import (
    Failure,
    failure_of_body,
    failure_of_connection,
    failure_of_content,
    failure_of_status,
)
from ._models import ContactPage
from ._outage import Outage
from ._pace import Pacer
from ._parse import Undecodable
from ._query import ContactQuery, Window
from ._report import Tally
from ._retry import back_off
from ._settings import Settings
from ._version import __version__
from ._wirelog import Exchange

logger = logging.getLogger("aioburki")

# A packet lost while connecting is repeated sooner by a new attempt than by the network.
CONNECT_SECONDS = 10.0


@attrs.define
class _Errand:
    """One page on its way: what is asked for, and what it took so far."""

    query: ContactQuery
    window: Window
    tally: Tally
    started: float
    attempts: int = 0
    failures: int = 0  # without the 429s, which are the server working as designed
    refusals: int = 0
    number: int = 0
    sent: float = 0.0
    is_probe: bool = False


class Fetcher:
    """Fetch pages for all pulls of one client, which share its slots and its pace."""

    def __init__(
        self,
        settings: Settings,
        http: httpx.AsyncClient,
        on_event: Callable[[Event], object] | None,
        *,
        is_ours: bool,
    ) -> None:
        self._settings = settings
        self._http = http
        self._secret = settings.api_key
        self._on_event = on_event
        self._host = httpx.URL(settings.base_url).host
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"aioburki/{__version__} Python/{platform.python_version()}",
        }
        self._timeout = httpx.Timeout(None, connect=min(CONNECT_SECONDS, settings.timeout))
        self._slots = Semaphore(settings.concurrency)
        self._reading = Lock()
        self._pacer = Pacer(settings.rate, longest_wait=settings.max_wait)
        self._outage = Outage(settings.attempts)
        # A pool of httpx loses a connection for good when a request in it is cancelled; lanes
        # do not.
        self._exchange = self._exchange_directly if is_ours else self._exchange_in_child
        self._is_closed = False

    @property
    def concurrency(self) -> int:
        """Return the most requests in flight at once."""
        return self._settings.concurrency

    def close(self) -> None:
        """Refuse every further request with `ClientClosedError`."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raise `ClientClosedError` if no request can be sent any more."""
        if self._is_closed:
            raise ClientClosedError("this BurkiClient is closed")
        if self._http.is_closed:
            raise ClientClosedError("the http_client of this BurkiClient is closed")

    async def fetch(self, query: ContactQuery, window: Window, tally: Tally) -> ContactPage:
        """Return the page at *window*, trying again after transient failures.

        Raises:
            BurkiError: the page cannot be had. Nothing is chained to it.
        """
        errand = _Errand(query, window, tally, started=anyio.current_time())
        while True:
            outcome = await self._attempt(errand)
            if isinstance(outcome, ContactPage):
                self._succeed(errand, outcome)
                return outcome
            delay = self._note_failure(errand, outcome)
            if delay is None:
                raise self._located(errand, outcome)
            await anyio.sleep(delay)
            tally.waited += delay

    async def _attempt(self, errand: _Errand) -> ContactPage | Failure:
        """Send one request and return what came of it; the slot is held no longer than this."""
        async with self._slots:
            asked = anyio.current_time()
            errand.is_probe = await self._outage.admit()
            try:
                errand.number = await self._pacer.wait()
                errand.sent = anyio.current_time()
                errand.tally.waited += errand.sent - asked
                try:
                    self.check_open()
                    errand.attempts += 1
                    errand.tally.requests += 1
                    with Exchange():
                        return await self._exchange(errand)
                finally:
                    self._pacer.answered()
            finally:
                if errand.is_probe:
                    self._outage.leave()

    async def _exchange_in_child(self, errand: _Errand) -> ContactPage | Failure:
        """Exchange in a task of its own, where a cancellation comes as that of an anyio scope.

        Against that the clean-up of httpx is shielded, against a task's own it is not.
        """
        outcome: list[ContactPage | Failure | Exception] = []

        async def exchange() -> None:
            try:
                outcome.append(await self._exchange_directly(errand))
            except Exception as error:  # noqa: BLE001 - passed on below, out of the group
                outcome.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(exchange, name="aioburki exchange")
        if not outcome:  # somebody has cancelled the child itself
            raise asyncio.CancelledError
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    async def _exchange_directly(self, errand: _Errand) -> ContactPage | Failure:
        response: httpx.Response | None = None
        body: bytes | BodyProblem = b""
        try:
            with anyio.fail_after(self._settings.timeout):
                response = await self._send(errand)
                try:
                    largest = LARGEST_BODY if response.status_code == 200 else LARGEST_ERROR_BODY
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
                return failure_of_connection(error, self._host)
        # Entering lets the loop run once, and only one is inside: answers that land together
        # are read one in each turn, in this order, or others would wait for the sum of them.
        async with self._reading:
            return self._classify(errand, response, body)

    async def _send(self, errand: _Errand) -> httpx.Response:
        request = self._http.build_request(
            "GET",
            self._settings.base_url + errand.query.path,
            params=errand.query.parameters(errand.window),
            # The one place where the key is put on a request.
            headers={**self._headers, "Authorization": f"Bearer {self._secret.value}"},
            timeout=self._timeout,
        )
        # `auth=None`, or a user's client would put credentials of its own in the key's place.
        return await self._http.send(request, stream=True, auth=None, follow_redirects=False)

    def _classify(
        self, errand: _Errand, response: httpx.Response, body: bytes | BodyProblem
    ) -> ContactPage | Failure:
        now = datetime.now(UTC)
        names = [name for name, _ in response.headers.raw]
        is_rationed = any(b"ratelimit" in name.lower() for name in names)
        allowance = read_allowance(response.headers, now) if is_rationed else None
        if allowance is not None:
            self._pacer.learn(allowance, errand.number)
        readable = b"" if isinstance(body, BodyProblem) else body
        failure = failure_of_status(response, readable, self._secret.value, now, allowance)
        if failure is not None:
            return failure
        if isinstance(body, BodyProblem):
            return failure_of_body(response.status_code, body)
        with collector_at_rest():
            page = decode_page(body)
        if isinstance(page, Undecodable):
            return failure_of_content(page)
        if page.pagination.page != errand.window.page:
            problem = f"pagination.page: page {page.pagination.page} came instead"
            return failure_of_content(Undecodable((problem,), broken=False))
        return page

    def _succeed(self, errand: _Errand, page: ContactPage) -> None:
        self._pacer.passed(errand.sent)
        self._pacer.forget_refusals()
        self._outage.over()
        seconds = anyio.current_time() - errand.started
        logger.debug(
            "campaign %d page %d: %d contacts, %d attempts, %.3f s",
            errand.query.campaign_id, errand.window.page, len(page), errand.attempts, seconds,
        )  # fmt: skip
        self._tell(
            PageFetched(
                campaign_id=errand.query.campaign_id,
                page=errand.window.page,
                contacts=len(page),
                total_pages=page.pagination.total_pages,
                total_items=page.pagination.total_items,
                attempts=errand.attempts,
                seconds=seconds,
            )
        )

    def _note_failure(self, errand: _Errand, failure: Failure) -> float | None:
        """Count a failed attempt and tell of it.

        Return the seconds to wait before another one, besides the pace; None for none.
        """
        asked = failure.retry_after or 0.0
        if failure.refused:
            self._outage.over()
            return self._wait_for_limit(errand, failure)
        if not isinstance(failure.error, TransportError):
            self._pacer.passed(errand.sent)
        errand.failures += 1
        if (
            not failure.transient
            or errand.failures >= self._settings.attempts
            or asked > self._settings.max_wait
            or self._is_given_up(errand, failure)
        ):
            return None
        delay = max(asked, back_off(errand.failures, random.random()))  # noqa: S311 - jitter
        if self._outage.probe_delay():
            delay = self._outage.probe_delay()
        errand.tally.retries += 1
        logger.info(
            "campaign %d page %d attempt %d: %s; again in %.2f s",
            errand.query.campaign_id, errand.window.page, errand.attempts,
            failure.error.message, delay,
        )  # fmt: skip
        self._tell(
            RetryScheduled(
                campaign_id=errand.query.campaign_id,
                page=errand.window.page,
                attempt=errand.attempts,
                delay=delay,
                reason=failure.error.message,
            )
        )
        return delay

    def _is_given_up(self, errand: _Errand, failure: Failure) -> bool:
        if not failure.is_outage:
            self._outage.over()
            return False
        why = self._outage.failed(
            errand, is_probe=errand.is_probe, retry_after=failure.retry_after or 0.0
        )
        if why is not None:
            failure.error.message += f"; the server is down: {why}"
        return why is not None

    def _wait_for_limit(self, errand: _Errand, failure: Failure) -> float | None:
        """Take in a 429; return the seconds this page waits, None if beyond `max_wait`."""
        errand.tally.rate_limited += 1
        errand.refusals += 1
        asked = failure.retry_after
        if asked is not None and asked > self._settings.max_wait:
            return None
        is_news = self._pacer.refuse(errand.sent, asked)
        delay = self._pacer.wait_of_refused(errand.refusals, asked)
        if self._pacer.refused_for(delay) > self._settings.max_wait:
            self._pacer.forget_refusals()
            return None
        if is_news:
            seconds = self._pacer.pause_left() or delay
            logger.info(
                "campaign %d page %d: HTTP 429, %s %.2f s",
                errand.query.campaign_id, errand.window.page,
                "all requests wait" if self._pacer.pause_left() else "it waits", seconds,
            )  # fmt: skip
            self._tell(
                PauseStarted(
                    campaign_id=errand.query.campaign_id,
                    page=errand.window.page,
                    seconds=seconds,
                    retry_after=failure.retry_after,
                )
            )
        return delay

    def _located(self, errand: _Errand, failure: Failure) -> Exception:
        error = failure.error
        error.campaign_id = errand.query.campaign_id
        error.page = errand.window.page
        error.attempts = errand.attempts
        return error

    def _tell(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # a fault in somebody's metrics must not cost a pull
            logger.exception("on_event failed for %s", type(event).__name__)
