"""Fetcher: one page, by as many attempts as the retry policy allows.

What happens on a 429 or any other failure: `Fetcher.fetch` gets the failure of an attempt,
`Fetcher._decide` asks `RetryPolicy.decide` what follows and records it with the pacer and the
circuit breaker, and the reporter logs it and calls `on_event`. Then `fetch` sleeps and tries
again, or raises.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import anyio

from .._clock import check_asyncio, loop_time
from .._endpoint import ListQuery
from .._errors import BurkiError, ClientClosedError
from .._events import Event
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import Circuit, Refusal, ServerWait, WaitTerms
from .attempt import AttemptRunner
from .capacity import Capacity
from .failures import Failure
from .page_request import PageRequest
from .request_reporter import RequestReporter
from .retry_policy import Decision, GiveUp, Pause, Retry, RetryPolicy, RetryState
from .stats import RequestStats
from .traffic import Traffic
from .waits import ServerGivenUpError

T = TypeVar("T")


class Fetcher:
    """Fetch pages with one set of options: retry policy and events; other fetchers share the rest.

    Args:
        settings: the client's settings.
        attempt_runner: sends one request and returns its outcome.
        traffic: the pace, the slots and the circuit breaker that all requests share.
        on_event: called with each event, or None.
        enter_loop: called before each page.
    """

    def __init__(
        self,
        settings: Settings,
        attempt_runner: AttemptRunner,
        traffic: Traffic,
        on_event: Callable[[Event], object] | None,
        enter_loop: Callable[[], None],
    ) -> None:
        self._concurrency = settings.concurrency
        self._attempts = attempt_runner
        self._timeout = settings.timeout
        self._reporter = RequestReporter(on_event)
        self._policy = RetryPolicy(settings.attempts, settings.max_wait)
        self._terms = WaitTerms(settings.max_wait, self._policy.wait_for_quota)
        self._traffic = traffic
        self._enter_loop = enter_loop
        self._use_traffic()
        self._waits = traffic.new_waits(settings.max_wait)

    def _use_traffic(self) -> None:
        self._pacer = self._traffic.pacer
        self._breaker = self._traffic.breaker
        self._busy_signs = self._traffic.busy_signs
        self._queue = self._traffic.queue

    @property
    def concurrency(self) -> int:
        """Return the maximum number of requests in flight."""
        return self._concurrency

    @property
    def capacity(self) -> Capacity:
        """Return how many requests may be sent now, as far as that is known."""
        return self._traffic.capacity(self._policy.spread)

    def wait_left(self) -> float:
        """Return the seconds for which all requests wait because of the server, from now."""
        return self._traffic.wait_left()

    def check_open(self) -> None:
        """Raise `ClientClosedError` if no request can be sent any more.

        Raises:
            RuntimeError: another async library than asyncio runs the caller.
        """
        check_asyncio()
        if self._traffic.is_closed:
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
        self._enter_loop()
        self._use_traffic()
        request = PageRequest(query, window, stats, started=loop_time())
        try:
            self._traffic.check_wait(self._waits)
            return await self._fetch(request)
        except ServerGivenUpError as given_up:
            error = given_up.error
        raise _located(request, error)

    async def _fetch(self, request: PageRequest[T]) -> Page[T]:
        stats = request.stats
        while True:
            outcome = await self._attempt(request)
            if isinstance(outcome, Page):
                self._succeed(request, outcome)
                return outcome
            decision = self._decide(request, outcome)
            self._report(request, outcome, decision)
            if isinstance(decision, GiveUp):
                raise _located(request, decision.error)
            stats.waiting += 1
            try:
                stats.on_wait()
                async with self._waits.wait():
                    await anyio.sleep(decision.delay)
            finally:
                stats.waiting -= 1
            stats.waited += decision.delay

    async def _attempt(self, request: PageRequest[T]) -> Page[T] | Failure:
        """Send one request and return its result; the slot is released before any back-off."""
        is_first = request.page == 1
        queue = self._queue
        async with AsyncExitStack() as stack:
            async with self._waits.wait():
                asked = loop_time() if queue.has_slot(is_first=is_first) else None
                await queue.acquire(request.stats, request.window.place, is_first=is_first)
                stack.callback(queue.release, is_first=is_first)
                asked = loop_time() if asked is None else asked
                try:
                    request.is_trial = await self._breaker.acquire()
                    if request.is_trial:
                        stack.callback(self._breaker.release)
                    before_wait = partial(self._before_wait, request)
                    request.number = await self._pacer.acquire(before_wait, self._terms)
                    request.sent, request.in_flight = loop_time(), self._pacer.in_flight
                    stack.callback(lambda: self._pacer.release(request.sent))
                finally:
                    queue.end_turn()
            request.given_up = self._waits.given_up
            request.stats.waited += loop_time() - asked
            self.check_open()
            request.attempts += 1
            request.record_sent()
            outcome = await self._attempts.run(
                request.query, request.window, request, self._timeout
            )
            is_refusal = isinstance(outcome.result, Failure) and outcome.result.is_refusal
            request.is_surplus = is_refusal and self._pacer.record_surplus(
                request.sent, request.in_flight
            )
        if outcome.quota is not None:
            self._queue.end_slow_start()
            self._pacer.record_quota(outcome.quota, request.number)
        return outcome.result

    def _before_wait(self, request: PageRequest[Any], wait: ServerWait) -> None:
        """Report that *request* waits because of the server, or raise if it would be too long."""
        decision = self._policy.decide_wait(wait)
        if isinstance(decision, GiveUp):
            raise _located(request, decision.error)
        retry_after = wait.seconds if wait.is_quota else None
        if wait.is_quota:
            self._traffic.record_wait(self._waits, wait.seconds)
        self._reporter.report_pause(request, decision, retry_after, of_all=decision.pause_all)

    def _decide(self, request: PageRequest[Any], failure: Failure) -> Decision:
        """Count *failure*, ask the policy what follows, and record that for all requests.

        Raises:
            ServerGivenUpError: the server was given up after the request was sent, and this
                failure does not contradict that.
        """
        if failure.is_outage or failure.is_refusal:
            self._waits.check(request.given_up)
        circuit = self._circuit_after(request, failure)
        if failure.is_refusal:
            request.refusals += 1
            request.stats.rate_limited += 1
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
        if isinstance(decision, Retry) and failure.retry_after and circuit is not None:
            self._traffic.record_wait(self._waits, circuit.delay(state.now))
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
                self._traffic.record_wait(self._waits, decision.pause_all)
            case Retry() if state.circuit is not None:
                self._breaker.record_failure(state.circuit)
            case Retry():  # a response, such as a 408 or an incomplete page: the server is not down
                self._breaker.record_answer()
            case GiveUp(is_unavailable=True) if state.refusal is not None:
                self._pacer.record_refusal(request.sent, decision.pause_all)
                self._traffic.record_wait(self._waits, decision.pause_all)
                if not self._traffic.others_wait(self._waits):
                    self._pacer.reset_refusals()
                if state.refusal.is_repeated:
                    self._waits.end(decision.error)
            case GiveUp(is_unavailable=True):
                if state.circuit is not None and self._traffic.others_wait(self._waits):
                    self._breaker.record_failure(state.circuit)
                else:
                    self._breaker.record_answer()
                self._waits.end(decision.error)
            case _:
                pass  # the error concerns this page alone

    def _report(self, request: PageRequest[Any], failure: Failure, decision: Decision) -> None:
        if isinstance(decision, Retry):
            self._reporter.report_retry(request, decision)
            return
        of_all = max(self._pacer.pause_left(), decision.pause_all)
        if isinstance(decision, GiveUp) and decision.pause_all:  # the next pulls wait for its end
            decision = Pause(delay=of_all, pause_all=of_all, is_new=True)
        if isinstance(decision, Pause) and decision.is_new:
            self._reporter.report_pause(request, decision, failure.retry_after, of_all=of_all)

    def _succeed(self, request: PageRequest[T], page: Page[T]) -> None:
        request.stats.page_seconds = loop_time() - request.sent
        if request.page > 1:
            self._queue.record_success()
        self._busy_signs.record_success()
        self._pacer.record_success(request.sent, request.in_flight)
        self._pacer.reset_refusals()
        self._breaker.record_answer()
        self._reporter.report_page(request, page)


def _located(request: PageRequest[Any], error: BurkiError) -> BurkiError:
    """Return *error* with the page in its message."""
    error.campaign_id = request.campaign_id
    error.page = request.page
    error.attempts = request.attempts
    return error
