"""Fetcher: one page, by as many attempts as the retry policy allows.

What happens on a 429 or any other failure: `Fetcher.fetch` gets the failure of an attempt,
`Fetcher._decide` asks `RetryPolicy.decide` what follows and records it with the pacer and the
circuit breaker, `Fetcher._report` logs it and calls `on_event`. Then `fetch` sleeps and tries
again, or raises.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio
import attrs
from anyio import Semaphore  # by name: anyio imports late, and the first client would wait for it

from .._clock import loop_time
from .._endpoint import ListQuery
from .._errors import BurkiError, ClientClosedError
from .._events import Event, PageFetched, PauseStarted, RetryScheduled
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import CircuitBreaker, Pacer
from .attempt import AttemptRunner
from .failures import Failure
from .retry_policy import Decision, GiveUp, Pause, Retry, RetryPolicy, RetryState
from .stats import RequestStats

logger = logging.getLogger("aioburki")

T = TypeVar("T")


@attrs.define
class PageRequest(Generic[T]):
    """One page to fetch, and its attempts so far.

    Attributes:
        query: which list the page is of.
        window: which page it is.
        stats: counts the requests of the pull.
        started: the loop's time at which the fetch began, in seconds.
        attempts: requests sent for the page.
        failures: failed attempts, without 429s.
        refusals: 429s.
        number: the pacer's number of the last request.
        sent: the loop's time at which the last request was sent, in seconds.
        is_trial: whether the last request was a trial request of the circuit breaker.
    """

    query: ListQuery[T]
    window: PageWindow
    stats: RequestStats
    started: float
    attempts: int = 0
    failures: int = 0
    refusals: int = 0
    number: int = 0
    sent: float = 0.0
    is_trial: bool = False

    @property
    def campaign_id(self) -> int:
        """Return the id of the campaign, for messages and events."""
        return self.query.campaign_id

    @property
    def page(self) -> int:
        """Return the number of the page, from 1, for messages and events."""
        return self.window.page


class Fetcher:
    """Fetch pages for all pulls of one client, which share its slots, its pacer and its breaker.

    Args:
        settings: the client's settings.
        attempt_runner: sends one request and returns its outcome.
        on_event: called with each event, or None.
    """

    def __init__(
        self,
        settings: Settings,
        attempt_runner: AttemptRunner,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._concurrency = settings.concurrency
        self._attempts = attempt_runner
        self._on_event = on_event
        self._slots = Semaphore(settings.concurrency, fast_acquire=True)
        self._pacer = Pacer(settings.rate, max_wait=settings.max_wait)
        self._breaker = CircuitBreaker()
        self._policy = RetryPolicy(settings.attempts, settings.max_wait)
        self._is_closed = False

    @property
    def concurrency(self) -> int:
        """Return the maximum number of requests in flight."""
        return self._concurrency

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
        """Return the page at *window*; repeat the request after transient failures and 429s.

        A fetch that is cancelled frees its slot and its place in every queue.

        Raises:
            BurkiError: the page was given up. Nothing is chained to the error.
            ClientClosedError: the client was closed before the page was received.
        """
        self.check_open()
        request = PageRequest(query, window, stats, started=loop_time())
        while True:
            outcome = await self._attempt(request)
            if isinstance(outcome, Page):
                self._succeed(request, outcome)
                return outcome
            decision = self._decide(request, outcome)
            if isinstance(decision, GiveUp):
                raise _located(request, decision)
            self._report(request, outcome, decision)
            stats.waiting += 1
            try:
                stats.on_wait()
                await anyio.sleep(decision.delay)
            finally:
                stats.waiting -= 1
            stats.waited += decision.delay

    async def _attempt(self, request: PageRequest[T]) -> Page[T] | Failure:
        """Send one request and return its result; the slot is released before any back-off."""
        async with self._slots:
            asked = loop_time()
            request.is_trial = await self._breaker.acquire()
            try:
                request.number = await self._pacer.acquire()
                request.sent = loop_time()
                request.stats.waited += request.sent - asked
                try:
                    self.check_open()
                    request.attempts += 1
                    request.stats.requests += 1
                    outcome = await self._attempts.run(request.query, request.window)
                finally:
                    self._pacer.release()
            finally:
                if request.is_trial:
                    self._breaker.release()
        if outcome.quota is not None:
            self._pacer.record_quota(outcome.quota, request.number)
        return outcome.result

    def _decide(self, request: PageRequest[Any], failure: Failure) -> Decision:
        """Count *failure*, ask the policy what follows, and record that for all requests."""
        if failure.is_refusal:
            request.refusals += 1
            request.stats.rate_limited += 1
            self._breaker.record_answer()
        else:
            request.failures += 1
            if failure.is_answered:
                self._pacer.record_success(request.sent)
        state = self._state(request, failure)
        decision = self._policy.decide(failure, state, random.random)
        self._record(request, state, decision)
        return decision

    def _state(self, request: PageRequest[Any], failure: Failure) -> RetryState:
        refusal = circuit = None
        if failure.is_refusal:
            refusal = self._pacer.refusal(request.sent)
        elif failure.is_outage:
            retry_after = failure.retry_after or 0.0
            circuit = self._breaker.after_failure(
                request, is_trial=request.is_trial, retry_after=retry_after
            )
        return RetryState(
            now=loop_time(),
            failures=request.failures,
            refusals=request.refusals,
            refusal=refusal,
            circuit=circuit,
        )

    def _record(self, request: PageRequest[Any], state: RetryState, decision: Decision) -> None:
        """Record a failure with the pacer or the breaker, unless it concerns this page alone."""
        match decision:
            case Pause():
                self._pacer.record_refusal(request.sent, decision.pause_all)
            case Retry() if state.circuit is not None:
                self._breaker.record_failure(state.circuit)
            case Retry():  # a response, such as a 408 or an incomplete page: the server is not down
                self._breaker.record_answer()
            case GiveUp(is_unavailable=True) if state.refusal is not None:
                self._pacer.record_refusal(request.sent, decision.pause_all)
                self._pacer.reset_refusals()
            case GiveUp(is_unavailable=True):
                self._breaker.record_answer()
            case _:
                pass  # the error concerns this page alone

    def _succeed(self, request: PageRequest[T], page: Page[T]) -> None:
        self._pacer.record_success(request.sent)
        self._pacer.reset_refusals()
        self._breaker.record_answer()
        seconds = loop_time() - request.started
        logger.debug(
            "campaign %d page %d: %d %ss, %d attempts, %.3f s",
            request.campaign_id, request.page, len(page.items), request.query.endpoint.noun,
            request.attempts, seconds,
        )  # fmt: skip
        if self._on_event is None:
            return
        self._emit(
            PageFetched(
                campaign_id=request.campaign_id,
                page=request.page,
                contacts=len(page.items),
                total_pages=page.pagination.total_pages,
                total_items=page.pagination.total_items,
                attempts=request.attempts,
                seconds=seconds,
            )
        )

    def _report(self, request: PageRequest[Any], failure: Failure, decision: Retry | Pause) -> None:
        if isinstance(decision, Pause):
            if decision.is_new:
                self._report_pause(request, failure, decision)
            return
        request.stats.retries += 1
        logger.info(
            "campaign %d page %d attempt %d: %s; again in %.2f s",
            request.campaign_id, request.page, request.attempts, decision.reason, decision.delay,
        )  # fmt: skip
        self._emit(
            RetryScheduled(
                campaign_id=request.campaign_id,
                page=request.page,
                attempt=request.attempts,
                delay=decision.delay,
                reason=decision.reason,
            )
        )

    def _report_pause(self, request: PageRequest[Any], failure: Failure, pause: Pause) -> None:
        of_all = self._pacer.pause_left()
        seconds = of_all or pause.delay
        logger.info(
            "campaign %d page %d: %s, %s %.2f s",
            request.campaign_id, request.page, pause.reason,
            "all requests wait" if of_all else "this request waits", seconds,
        )  # fmt: skip
        self._emit(
            PauseStarted(
                campaign_id=request.campaign_id,
                page=request.page,
                seconds=seconds,
                retry_after=failure.retry_after,
            )
        )

    def _emit(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # an error in the user's callback must not end the pull
            logger.exception("on_event failed for %s", type(event).__name__)


def _located(request: PageRequest[Any], decision: GiveUp) -> BurkiError:
    """Return the error to raise, with the page and the explanation in its message."""
    error = decision.error
    if decision.explanation is not None:
        error.message += f"; {decision.explanation}"
    error.campaign_id = request.campaign_id
    error.page = request.page
    error.attempts = request.attempts
    return error
