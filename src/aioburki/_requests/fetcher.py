"""Fetch: one page, whatever it takes: a slot, its turn, an exchange, or else another one."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import attrs
from anyio import Semaphore  # by name: anyio imports late, and the first client would wait for it

from .._clock import loop_time
from .._errors import ClientClosedError, TransportError
from .._events import Event, PageFetched, PauseStarted, RetryScheduled
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import CircuitBreaker, Pacer, back_off
from .attempt import AttemptRunner
from .endpoint import ListQuery
from .failures import Failure
from .stats import RequestStats

logger = logging.getLogger("aioburki")

T = TypeVar("T")


@attrs.define
class PageRequest(Generic[T]):
    """One page on its way: what is asked for, and what it took so far."""

    query: ListQuery[T]
    window: PageWindow
    stats: RequestStats
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
        attempt_runner: AttemptRunner,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._settings = settings
        self._attempts = attempt_runner
        self._on_event = on_event
        self._slots = Semaphore(settings.concurrency, fast_acquire=True)
        self._pacer = Pacer(settings.rate, longest_wait=settings.max_wait)
        self._breaker = CircuitBreaker(settings.attempts)
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
        if self._attempts.is_closed:
            raise ClientClosedError("the http_client of this BurkiClient is closed")

    async def fetch(self, query: ListQuery[T], window: PageWindow, stats: RequestStats) -> Page[T]:
        """Return the page at *window*, trying again after transient failures.

        Raises:
            BurkiError: the page cannot be had. Nothing is chained to it.
        """
        self.check_open()
        request = PageRequest(query, window, stats, started=loop_time())
        while True:
            outcome = await self._attempt(request)
            if isinstance(outcome, Page):
                self._succeed(request, outcome)
                return outcome
            delay = self._note_failure(request, outcome)
            if delay is None:
                raise self._located(request, outcome)
            await anyio.sleep(delay)
            stats.waited += delay

    async def _attempt(self, request: PageRequest[T]) -> Page[T] | Failure:
        """Send one request and return what came of it; the slot is held no longer than this."""
        async with self._slots:
            asked = loop_time()
            request.is_probe = await self._breaker.admit()
            try:
                request.number = await self._pacer.wait()
                request.sent = loop_time()
                request.stats.waited += request.sent - asked
                try:
                    self.check_open()
                    request.attempts += 1
                    request.stats.requests += 1
                    answer = await self._attempts.run(request.query, request.window)
                finally:
                    self._pacer.answered()
            finally:
                if request.is_probe:
                    self._breaker.leave()
        if answer.quota is not None:
            self._pacer.learn(answer.quota, request.number)
        return answer.result

    def _succeed(self, request: PageRequest[T], page: Page[T]) -> None:
        self._pacer.passed(request.sent)
        self._pacer.forget_refusals()
        self._breaker.over()
        seconds = loop_time() - request.started
        logger.debug(
            "campaign %d page %d: %d %ss, %d attempts, %.3f s",
            request.query.campaign_id, request.window.page, len(page.items),
            request.query.endpoint.noun, request.attempts, seconds,
        )  # fmt: skip
        if self._on_event is None:
            return
        self._tell(
            PageFetched(
                campaign_id=request.query.campaign_id,
                page=request.window.page,
                contacts=len(page.items),
                total_pages=page.pagination.total_pages,
                total_items=page.pagination.total_items,
                attempts=request.attempts,
                seconds=seconds,
            )
        )

    def _note_failure(self, request: PageRequest[T], failure: Failure) -> float | None:
        """Count a failed attempt and tell of it.

        Return the seconds to wait before another one, besides the pace; None for none.
        """
        asked = failure.retry_after or 0.0
        if failure.refused:
            self._breaker.over()
            return self._wait_for_limit(request, failure)
        if not isinstance(failure.error, TransportError):
            self._pacer.passed(request.sent)
        request.failures += 1
        if (
            not failure.transient
            or request.failures >= self._settings.attempts
            or asked > self._settings.max_wait
            or self._is_given_up(request, failure)
        ):
            return None
        delay = max(asked, back_off(request.failures, random.random()))  # noqa: S311 - jitter
        if self._breaker.probe_delay():
            delay = self._breaker.probe_delay()
        request.stats.retries += 1
        logger.info(
            "campaign %d page %d attempt %d: %s; again in %.2f s",
            request.query.campaign_id, request.window.page, request.attempts,
            failure.error.message, delay,
        )  # fmt: skip
        self._tell(
            RetryScheduled(
                campaign_id=request.query.campaign_id,
                page=request.window.page,
                attempt=request.attempts,
                delay=delay,
                reason=failure.error.message,
            )
        )
        return delay

    def _is_given_up(self, request: PageRequest[T], failure: Failure) -> bool:
        if not failure.is_outage:
            self._breaker.over()
            return False
        why = self._breaker.failed(
            request, is_probe=request.is_probe, retry_after=failure.retry_after or 0.0
        )
        if why is not None:
            failure.error.message += f"; the server is down: {why}"
        return why is not None

    def _wait_for_limit(self, request: PageRequest[T], failure: Failure) -> float | None:
        """Take in a 429; return the seconds this page waits, None if beyond `max_wait`."""
        request.stats.rate_limited += 1
        request.refusals += 1
        asked = failure.retry_after
        if asked is not None and asked > self._settings.max_wait:
            return None
        is_news = self._pacer.refuse(request.sent, asked)
        delay = self._pacer.wait_of_refused(request.refusals, asked)
        if self._pacer.refused_for(delay) > self._settings.max_wait:
            self._pacer.forget_refusals()
            return None
        if is_news:
            seconds = self._pacer.pause_left() or delay
            logger.info(
                "campaign %d page %d: HTTP 429, %s %.2f s",
                request.query.campaign_id, request.window.page,
                "all requests wait" if self._pacer.pause_left() else "it waits", seconds,
            )  # fmt: skip
            self._tell(
                PauseStarted(
                    campaign_id=request.query.campaign_id,
                    page=request.window.page,
                    seconds=seconds,
                    retry_after=failure.retry_after,
                )
            )
        return delay

    def _located(self, request: PageRequest[T], failure: Failure) -> Exception:
        error = failure.error
        error.campaign_id = request.query.campaign_id
        error.page = request.window.page
        error.attempts = request.attempts
        return error

    def _tell(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # a fault in somebody's metrics must not cost a pull
            logger.exception("on_event failed for %s", type(event).__name__)
