"""Pacer: when the next request may be sent. One per client, so that all its pulls share a limit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import anyio

from .._clock import loop_time
from .concurrency_estimator import ConcurrencyEstimator
from .limiter import Limiter
from .pacer_config import PacerConfig
from .rate_estimator import RateEstimator
from .refusals import Refusal, RefusalRow
from .server_quota import QuotaHeaders, QuotaState, ServerQuota
from .server_wait import ServerWait, WaitTerms, no_quota_wait
from .shared_turns import SharedTurns


def _ignore(_wait: ServerWait) -> None:
    """Report nothing."""


class Pacer:
    """Let at most *rate* requests per second be sent, fewer if the server allows fewer.

    What the server allows is estimated from its 429s (`RateEstimator`) and read from its headers
    (`ServerQuota`), and is kept for the next pull. With a *limiter*, which shares a limit among
    processes, a request waits for its turn there as well, and what 429s say of the rate is the
    limiter's to estimate. Holds numbers only: a cancelled wait leaves nothing behind, and what was
    learned is valid on another event loop too. The clock is the running loop's.

    Args:
        rate: requests per second, or None for no bound of the client's own.
        max_wait: seconds, the longest interval between requests that 429s may lead to, from 1.
        quota_wait: returns how long to wait for what is left of the server's quota, in seconds.
        limiter: shares a limit among processes, or None.
        estimator: estimates the server's limit.
        config: the constants.
        draw: returns random numbers in [0, 1), for the jitter.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        max_wait: float = 120.0,
        quota_wait: Callable[[QuotaState], float] = no_quota_wait,
        limiter: Limiter | None = None,
        estimator: RateEstimator | None = None,
        config: PacerConfig | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._rate = math.inf if rate is None else rate
        self._estimator = estimator or RateEstimator()
        self._concurrency = ConcurrencyEstimator()
        self._config = config or PacerConfig()
        self._draw = draw
        self._terms = self._own_terms = WaitTerms(max_wait, quota_wait)  # of the head of the queue
        self._shared = None if limiter is None else SharedTurns(limiter, draw=draw)
        self._quota = ServerQuota()
        self._last = -math.inf  # when the last request was sent, or was due if it was sent late
        self._paused_until = -math.inf
        self._row = RefusalRow(self._config.max_refusal_gap)
        self._in_flight = 0
        self._queue = anyio.Lock()

    async def acquire(
        self, on_wait: Callable[[ServerWait], None] = _ignore, terms: WaitTerms | None = None
    ) -> int:
        """Wait until a request may be sent; return its number, from 1.

        Every request that was let through must end in `release`. A wait that is cancelled counts as
        no request.

        Args:
            on_wait: called once with each wait that the server or the limiter causes, before it
                begins. An exception that it raises ends the wait, and is raised.
            terms: how long this request waits; None: as the pacer was made.

        Raises:
            LimiterError: the limiter cannot be used, or was not reached for *max_wait* seconds.
        """
        while True:
            await self._wait_for_end_of_pause()
            if self._shared is None and not self._queue.locked():
                self._terms = terms or self._own_terms
                if self._delay() <= 0:
                    break
            # Only the head of the queue waits for its time: were times assigned in advance, a pause
            # or another rate would take effect as late as the queue is long.
            async with self._queue:
                self._terms = terms or self._own_terms
                await self._wait_for_turn(on_wait)
                if self._shared is not None:
                    await self._shared.wait(self.pause_left, on_wait, self._terms.max_wait)
                if not self.pause_left():
                    break
        return self._record_request(loop_time())

    def leave_loop(self) -> None:
        """Forget the requests that ran on another event loop, which has ended."""
        self._queue = anyio.Lock()
        while self._in_flight:
            self.release()

    def release(self, sent: float = math.inf) -> None:
        """Record that a request has ended, by whatever outcome or by cancellation.

        It is the last one that was sent at *sent* or before.
        """
        self._in_flight -= 1
        self._estimator.record_end(sent)

    def record_success(self, sent: float, in_flight: int = 1) -> None:
        """Record that a request sent at *sent* passed: the answer was not a 429.

        It ends no row of refusals; `reset_refusals` does. *in_flight* is as in `in_flight`, when
        the request was sent.
        """
        self._concurrency.record_success(sent, in_flight)
        if self._shared is not None:
            self._shared.record_success()
        elif (shut := self._row.shut) is not None:
            self._estimator.record_reopening(sent, shut)
        self._estimator.record_success(loop_time(), sent)

    def record_quota(self, quota: QuotaHeaders, number: int) -> None:
        """Record what the answer to request *number* says of the present quota period."""
        self._quota.record_quota(quota, loop_time(), number)

    def record_surplus(self, sent: float, in_flight: int) -> bool:
        """Record a 429 to a request sent at *sent*; return whether too many were in flight.

        If so, it says nothing of the rate: `record_refusal` must not follow. It is to be called
        before `release`, so that no other request is sent in its place.
        """
        known, now = self.max_in_flight, loop_time()
        is_surplus = self._concurrency.record_refusal(now, sent, in_flight)
        if is_surplus:
            self._estimator.doubt()
        elif known is not None and self._shared is None:
            self._estimator.search_behind(now, known)
        return is_surplus

    def refusal(self, sent: float, *, is_surplus: bool = False) -> Refusal:
        """Return what a 429 to a request sent at *sent* means; record nothing.

        Args:
            sent: when the request was sent.
            is_surplus: what `record_surplus` returned.
        """
        return self._row.refusal(loop_time(), sent, self._paused_until, is_surplus=is_surplus)

    def record_refusal(self, sent: float, pause: float) -> None:
        """Record a 429 to a request sent at *sent*, and pause all requests for *pause* seconds.

        A pause of 0 pauses none. A longer pause that is running already stays as it is.
        """
        now, refusal = loop_time(), self.refusal(sent)
        self._row.record(now, refusal)
        is_limit = refusal.is_new and not refusal.is_repeated
        if self._shared is not None:
            self._shared.record_refusal(sent if is_limit else None, pause)
        elif is_limit:
            self._record_limit(now, sent)
        if now + pause > self._paused_until and pause:
            self._estimator.record_pause(now + pause - max(now, self._paused_until))
            self._paused_until = now + pause

    async def send_refusal(self) -> None:
        """Send a 429 that was recorded to the limiter, if there is one: it concerns all processes.

        A limiter that fails is not reported here, but by the next `acquire`.
        """
        if self._shared is not None:
            await self._shared.send_refusal()

    @property
    def is_limited(self) -> bool:
        """Return whether a limit of the server was measured, or is being searched for."""
        if self._shared is not None:
            return self._shared.is_lowered or self.max_in_flight is not None
        is_rate = self._estimator.rate(loop_time()) < math.inf
        return is_rate or self.max_in_flight is not None

    @property
    def requests_per_second(self) -> float:
        """Return how many requests per second may be sent; infinity if no limit is known."""
        rate = self._present_rate(loop_time())
        return rate if self._shared is None else min(rate, self._shared.rate)

    @property
    def quota(self) -> QuotaState | None:
        """Return what is left of the server's quota by its headers, or None if that is unknown."""
        return self._quota.state(loop_time())

    @property
    def in_flight(self) -> int:
        """Return how many requests were let through and have not ended."""
        return self._in_flight

    @property
    def max_in_flight(self) -> int | None:
        """Return how many requests in flight the server allows, or None if that is not known."""
        return self._concurrency.max_in_flight

    def pause_left(self) -> float:
        """Return the seconds that the present pause of all requests will last, or 0."""
        return max(0.0, self._paused_until - loop_time())

    def reset_refusals(self) -> None:
        """End the row of refusals: a page has come, or the pull was given up."""
        self._row.end()

    def forget_limit(self) -> None:
        """Forget the limit that was measured: its refusals were faults of the server."""
        self._estimator.forget_limit()
        self._concurrency.forget()

    def _record_limit(self, now: float, sent: float) -> None:
        if self._estimator.rate(now) == math.inf:
            # The answers to the requests in flight say more of the limit: let them come first.
            self._last = now + self._estimator.round_trip
        self._estimator.record_refusal(now, sent)

    def _interval(self, now: float) -> float:
        return 1 / self._present_rate(now)

    def _present_rate(self, now: float) -> float:
        min_rate = 1 / max(self._terms.max_wait, 1.0)
        return min(self._rate, max(self._estimator.rate(now), min_rate))

    def _delay(self) -> float:
        now = loop_time()
        delay = self._last + self._interval(now) - now
        if self._in_flight and self._quota.has_ended(now):
            delay = max(delay, self._config.answer_poll)
        return max(delay, self._wait_for_quota(now))

    def _wait_for_quota(self, now: float) -> float:
        state = self._quota.state(now)
        return 0.0 if state is None else self._terms.quota_wait(state)

    async def _wait_for_turn(self, on_wait: Callable[[ServerWait], None]) -> None:
        """Wait until a request may be sent, or until a pause begins."""
        told_until = -math.inf
        while not self.pause_left() and (delay := self._delay()) > 0:
            now = loop_time()
            wait = self._server_wait(now)
            if wait is not None and now + wait.seconds > told_until + self._config.min_told:
                told_until = now + wait.seconds
                on_wait(wait)
            await anyio.sleep(min(delay, max(self._config.poll, delay / 2)))

    def _server_wait(self, now: float) -> ServerWait | None:
        """Return the present wait if it is to be told: the server causes it, and it is long."""
        if (seconds := self._wait_for_quota(now)) > 0:
            return ServerWait(seconds, is_quota=True)
        interval = self._interval(now)
        if interval <= max(self._config.min_told, 1 / self._rate):
            return None
        return ServerWait(self._last + interval - now, is_quota=False)

    def _record_request(self, now: float) -> int:
        config, interval = self._config, self._interval(now)
        due = self._last + interval
        idle = now - max(due, self._paused_until + config.pause_jitter)
        if idle > max(config.slack, config.idle_intervals * interval):
            self._estimator.record_pause(idle)
        is_own_rate = self._rate <= self._estimator.rate(now)
        slack = config.slack if is_own_rate else config.slack_at_limit
        is_caught_up = interval <= config.max_caught_up and due >= now - config.slack
        self._last = max(due, now - slack) if is_caught_up else now
        self._in_flight += 1
        if self._shared is not None:
            self._shared.use()
        self._estimator.record_sent(now)
        return self._quota.record_request(now)

    async def _wait_for_end_of_pause(self) -> None:
        while (rest := self.pause_left()) > 0:
            await anyio.sleep(rest + self._draw() * self._config.pause_jitter)
