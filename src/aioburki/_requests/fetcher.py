"""Fetcher: one page, by as many attempts as the retry policy allows.

What happens on a 429 or any other failure: `Fetcher.fetch` gets the failure of an attempt,
`FailureRecorder.decide` asks `RetryPolicy.decide` what follows and records it with the pacer and
the circuit breaker, and the reporter logs it and calls `on_event`. Then `fetch` sleeps and tries
again, or raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import anyio

from .._clock import check_asyncio, loop_time
from .._endpoint import ListQuery
from .._errors import ClientClosedError, LimiterError
from .._event_sender import EventSender
from .._events import Event
from .._page import Page, PageWindow
from .._settings import Settings
from .._throttle import ServerWait, WaitTerms
from .attempt import AttemptOutcome, AttemptRunner
from .capacity import Capacity
from .decisions import Decision, GiveUp
from .failure_recorder import FailureRecorder
from .failures import Failure
from .page_request import PageRequest
from .request_reporter import RequestReporter
from .retry_policy import RetryPolicy
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

    Attributes:
        events: logs and sends the events of this client.
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
        self.events = EventSender(on_event)
        self._reporter = RequestReporter(self.events)
        self._timeout = settings.timeout
        self._policy = RetryPolicy(settings.attempts, settings.max_wait)
        self._terms = WaitTerms(settings.max_wait, self._policy.wait_for_quota)
        self._traffic = traffic
        self._enter_loop = enter_loop
        self._use_traffic()
        self._waits = traffic.new_waits(settings.max_wait)
        self._failures = FailureRecorder(self._policy, traffic, self._waits)

    def _use_traffic(self) -> None:
        self._pacer = self._traffic.pacer
        self._breaker = self._traffic.breaker
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
        except LimiterError as limiter_error:
            error = limiter_error
            self._waits.end(error)  # the other requests would wait as long, one after the other
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
            await self._pacer.send_refusal()
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
            outcome = await self._attempts.run(
                request.query, request.window, request, self._timeout
            )
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
        if wait.is_quota:
            self._traffic.record_wait(self._waits, wait.seconds)
        self._reporter.report_pause(
            request, decision, retry_after, of_all=decision.pause_all, detail=wait.limiter
        )

    def _decide(self, request: PageRequest[Any], failure: Failure) -> Decision:
        """Return what follows *failure*.

        Raises:
            ServerGivenUpError: the server was given up after the request was sent, and this
                failure does not contradict that.
        """
        if (failure.is_outage or failure.is_refusal) and self._waits.given_up != request.given_up:
            self._reporter.report_failure(request, failure, None)
            self._waits.check(request.given_up)
        return self._failures.decide(request, failure)

    def _succeed(self, request: PageRequest[T], page: Page[T]) -> None:
        request.stats.page_seconds = loop_time() - request.sent
        if request.page > 1:
            self._queue.record_success()
        self._traffic.busy_signs.record_success()
        self._pacer.record_success(request.sent, request.in_flight)
        self._pacer.reset_refusals()
        self._breaker.record_answer()
        self._reporter.report_request(request, "ok")
        self._reporter.report_page(request, page)
