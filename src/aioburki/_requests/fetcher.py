"""Fetcher: one page, by as many attempts as the retry policy allows.

What happens on a 429 or any other failure: `Fetcher.fetch` gets the failure of an attempt,
`Fetcher._decide` asks `RetryPolicy.decide` what follows and records it with the pacer and the
circuit breaker, and the reporter logs it and calls `on_event`. Then `fetch` sleeps and tries
again, or raises.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import anyio

from .._clock import check_asyncio, loop_time
from .._endpoint import ListQuery
from .._errors import ClientClosedError
from .._event_sender import EventSender
from .._events import Event
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import BusySigns, Circuit, CircuitBreaker, Pacer, Refusal, ServerWait
from .attempt import AttemptOutcome, AttemptRunner
from .decisions import Decision, GiveUp, Pause, Retry
from .failures import Failure
from .page_request import PageRequest
from .request_reporter import RequestReporter
from .retry_policy import RetryPolicy, RetryState
from .send_queue import SendQueue
from .stats import RequestStats
from .waits import ServerGivenUpError, Waits

T = TypeVar("T")


class Fetcher:
    """Fetch pages for all pulls of one client, which share its slots, its pacer and its breaker.

    Args:
        settings: the client's settings.
        attempt_runner: sends one request and returns its outcome.
        on_event: called with each event, or None.

    Attributes:
        events: logs and sends the events of this client.
    """

    def __init__(
        self,
        settings: Settings,
        attempt_runner: AttemptRunner,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._concurrency = settings.concurrency
        self._attempts = attempt_runner
        self.events = EventSender(on_event)
        self._reporter = RequestReporter(self.events)
        self._policy = RetryPolicy(settings.attempts, settings.max_wait)
        self._pacer = Pacer(
            settings.rate,
            max_wait=settings.max_wait,
            quota_wait=self._policy.wait_for_quota,
        )
        self._breaker = CircuitBreaker()
        self._busy_signs = BusySigns(self._pacer)
        self._queue = SendQueue(
            settings.concurrency,
            is_open=lambda: self._breaker.is_open,
            max_in_flight=lambda: self._pacer.max_in_flight,
        )
        self._waits = Waits()
        self._is_closed = False

    @property
    def concurrency(self) -> int:
        """Return the maximum number of requests in flight."""
        return self._concurrency

    def close(self) -> None:
        """Refuse every further request with `ClientClosedError`."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raise `ClientClosedError` if no request can be sent any more.

        Raises:
            RuntimeError: another async library than asyncio runs the caller.
        """
        check_asyncio()
        if self._is_closed:
            raise ClientClosedError("this BurkiClient is closed")
        if self._attempts.is_closed:
            raise ClientClosedError("the http_client of this BurkiClient is closed")

    async def fetch(self, query: ListQuery[T], window: PageWindow, stats: RequestStats) -> Page[T]:
        """Return the page at *window*; repeat the request after transient failures and 429s.

        A fetch that is cancelled frees its slot and its place in every queue.

        Raises:
            BurkiError: the page was given up, or waited for a server that was given up meanwhile.
                Nothing is chained to the error.
            ClientClosedError: the client was closed before the page was received.
        """
        self.check_open()
        request = PageRequest(query, window, stats, started=loop_time())
        try:
            return await self._fetch(request)
        except ServerGivenUpError as given_up:
            error = given_up.error
        raise request.located(error)

    async def _fetch(self, request: PageRequest[T]) -> Page[T]:
        stats = request.stats
        while True:
            outcome = await self._attempt(request)
            if isinstance(outcome, Page):
                self._succeed(request, outcome)
                return outcome
            decision = self._decide(request, outcome)
            pause_left = self._pacer.pause_left()
            self._reporter.report_failure(request, outcome, decision, pause_left=pause_left)
            if isinstance(decision, GiveUp):
                raise request.located(decision.error)
            stats.waiting += 1
            try:
                stats.on_wait()
                async with self._waits.wait():
                    await anyio.sleep(decision.delay)
            finally:
                stats.waiting -= 1
            request.record_wait_time(decision.delay)

    async def _attempt(self, request: PageRequest[T]) -> Page[T] | Failure:
        """Send one request and return its result; the slot is released before any back-off."""
        outage_left, pause_left = self._breaker.wait_left(), self._pacer.pause_left()
        self._reporter.report_waits(request, outage_left=outage_left, pause_left=pause_left)
        is_first = request.page == 1
        async with AsyncExitStack() as stack:
            async with self._waits.wait():
                asked = loop_time() if self._queue.has_slot(is_first=is_first) else None
                await self._queue.acquire(request.stats, request.window.place, is_first=is_first)
                stack.callback(self._queue.release, is_first=is_first)
                asked = loop_time() if asked is None else asked
                try:
                    request.is_trial = await self._breaker.acquire()
                    if request.is_trial:
                        stack.callback(self._breaker.release)
                    before_wait = partial(self._before_wait, request)
                    request.number = await self._pacer.acquire(before_wait)
                    request.sent, request.in_flight = loop_time(), self._pacer.in_flight
                    stack.callback(lambda: self._pacer.release(request.sent))
                finally:
                    self._queue.end_turn()
            request.given_up = self._waits.given_up
            request.record_wait_time(loop_time() - asked)
            self.check_open()
            outcome = await self._send(request)
            is_refusal = isinstance(outcome.result, Failure) and outcome.result.is_refusal
            request.is_surplus = is_refusal and self._pacer.record_surplus(
                request.sent, request.in_flight
            )
        if outcome.quota is not None:
            self._queue.end_slow_start()
            self._pacer.record_quota(outcome.quota, request.number)
        return outcome.result

    async def _send(self, request: PageRequest[T]) -> AttemptOutcome[T]:
        """Send one request; report how it ended if it ended without an outcome."""
        request.attempts += 1
        request.status_code = None
        request.record_sent()
        try:
            outcome = await self._attempts.run(request.query, request.window, request)
        except asyncio.CancelledError:
            self._reporter.report_request(request, "cancelled")
            raise
        except Exception:  # of the user's transport or client
            self._reporter.report_request(request, "failed")
            raise
        request.status_code = outcome.status_code
        return outcome

    def _before_wait(self, request: PageRequest[Any], wait: ServerWait) -> None:
        """Report that *request* waits because of the server, or raise if it would be too long."""
        decision = self._policy.decide_wait(wait)
        if isinstance(decision, GiveUp):
            raise request.located(decision.error)
        retry_after = wait.seconds if wait.is_quota else None
        self._reporter.report_pause(request, decision, retry_after, of_all=decision.pause_all)

    def _decide(self, request: PageRequest[Any], failure: Failure) -> Decision:
        """Count *failure*, ask the policy what follows, and record that for all requests.

        Raises:
            ServerGivenUpError: the server was given up after the request was sent, and this
                failure does not contradict that.
        """
        if (failure.is_outage or failure.is_refusal) and self._waits.given_up != request.given_up:
            self._reporter.report_failure(request, failure, None)
            self._waits.check(request.given_up)
        circuit = self._circuit_after(request, failure)
        if failure.is_refusal:
            request.refusals += 1
            self._breaker.record_answer()
        elif (
            circuit is not None
            and failure.is_busy
            and self._busy_signs.record_busy(request.sent, request.in_flight, circuit)
        ):
            request.busy += 1
        else:
            request.failures += 1
            if failure.is_answered:
                self._pacer.record_success(request.sent, request.in_flight)
        state = RetryState(
            now=loop_time(),
            failures=request.failures,
            busy=request.busy,
            refusals=request.refusals,
            refusal=self._refusal(request) if failure.is_refusal else None,
            circuit=circuit,
            failing_since=request.failing_since,
        )
        decision = self._policy.decide(failure, state, random.random)
        if isinstance(decision, GiveUp) and decision.explanation is not None:
            decision.error.message += f"; {decision.explanation}"
        self._record(request, state, decision)
        return decision

    def _refusal(self, request: PageRequest[Any]) -> Refusal:
        return self._pacer.refusal(request.sent, is_surplus=request.is_surplus)

    def _circuit_after(self, request: PageRequest[Any], failure: Failure) -> Circuit | None:
        """Return the circuit after *failure*, or None if that is no sign of an outage."""
        if not failure.is_outage:
            return None
        retry_after = failure.retry_after or 0.0
        circuit = self._breaker.after_failure(
            request, is_trial=request.is_trial, retry_after=retry_after
        )
        if request.failing_since is None:  # not before the circuit's own time
            request.failing_since = loop_time()
        return circuit

    def _record(self, request: PageRequest[Any], state: RetryState, decision: Decision) -> None:
        """Record a failure with the pacer or the breaker, unless it concerns this page alone."""
        match decision:
            case Pause() if request.is_surplus:
                self._queue.end_slow_start()
            case Pause():
                self._queue.end_slow_start()
                self._pacer.record_refusal(request.sent, decision.pause_all)
            case Retry() if state.circuit is not None:
                self._breaker.record_failure(state.circuit)
            case Retry():  # a response, such as a 408 or an incomplete page: the server is not down
                self._breaker.record_answer()
            case GiveUp(is_unavailable=True) if state.refusal is not None:
                self._pacer.record_refusal(request.sent, decision.pause_all)
                self._pacer.reset_refusals()
                if state.refusal.is_repeated:
                    self._waits.end(decision.error)
            case GiveUp(is_unavailable=True):
                self._breaker.record_answer()
                self._waits.end(decision.error)
            case _:
                pass  # the error concerns this page alone

    def _succeed(self, request: PageRequest[T], page: Page[T]) -> None:
        if request.page > 1:
            self._queue.record_success()
        self._busy_signs.record_success()
        self._pacer.record_success(request.sent, request.in_flight)
        self._pacer.reset_refusals()
        self._breaker.record_answer()
        self._reporter.report_request(request, "ok")
        self._reporter.report_page(request, page)
