"""Traffic: what all requests of a client share, whatever options each of them has."""

from __future__ import annotations

import math
from collections.abc import Callable
from weakref import WeakSet

from .._clock import loop_time
from .._errors import RateLimitError
from .._settings import Settings
from .._throttle import BusySigns, CircuitBreaker, Limiter, Pacer, QuotaState
from .capacity import Capacity
from .send_queue import SendQueue
from .waits import ServerGivenUpError, Waits


class Traffic:
    """The pace, the slots and the circuit breaker of a client and its views, for all requests.

    A view may have a smaller ``max_wait`` than the client, or fewer attempts. So each gives the
    server up for itself: its own requests end, those of the others go on waiting. And a wait that
    the server has asked of one of them ends the waiting requests of those that wait less.

    Args:
        settings: the client's settings.
        limiter: shares a limit among processes, or None.

    Attributes:
        pacer: when the next request may be sent.
        breaker: holds requests back while the server is down.
        busy_signs: tells an outage from a limit where the server answers 503 to both.
        queue: which request is sent next, and how many are in flight.
        is_closed: whether no request may be sent any more.
    """

    def __init__(self, settings: Settings, limiter: Limiter | None = None) -> None:
        self._settings = settings
        self._limiter = limiter
        self._concurrency = settings.concurrency
        self.is_closed = False
        self._begin()
        self._waits: WeakSet[Waits] = WeakSet()

    def _begin(self) -> None:
        settings = self._settings
        self.pacer = Pacer(settings.rate, max_wait=settings.max_wait, limiter=self._limiter)
        self.breaker = CircuitBreaker()
        self.busy_signs = BusySigns(self.pacer)
        self._asked_by: Waits | None = None
        self._asked_until = -math.inf
        self._begin_queue()

    def _begin_queue(self) -> None:
        self.queue = SendQueue(
            self._concurrency,
            is_open=lambda: self.breaker.is_open,
            max_in_flight=lambda: self.pacer.max_in_flight,
        )

    def leave_loop(self, *, is_clock_continued: bool) -> None:
        """Forget what runs on another event loop, which has ended.

        What was learned of the server is kept if the running loop's clock continues that loop's.
        """
        for waits in self._waits:
            waits.forget()
        if not is_clock_continued:
            self._begin()
            return
        self.pacer.leave_loop()
        self.breaker.leave_loop()
        self._begin_queue()

    def capacity(self, spread: Callable[[QuotaState], int]) -> Capacity:
        """Return how many requests may be sent now; *spread* as that of `RetryPolicy`."""
        quota, in_flight = self.pacer.quota, self.pacer.max_in_flight
        concurrency = self._concurrency if in_flight is None else min(in_flight, self._concurrency)
        return Capacity(
            concurrency=concurrency,
            allowed=min(self.queue.allowed, concurrency),
            rate=self.pacer.requests_per_second,
            quota=quota,
            spread=0 if quota is None else spread(quota),
            pause=self.pacer.pause_left(),
        )

    def wait_left(self) -> float:
        """Return the seconds for which all requests wait: a pause, or a quota that is used up."""
        quota = self.pacer.quota
        rest = quota.rest if quota is not None and quota.left <= 0 else 0.0
        return max(rest, self.pacer.pause_left())

    def new_waits(self, max_wait: float) -> Waits:
        """Return the waits of the requests that wait for the server *max_wait* seconds at most."""
        waits = Waits(max_wait)
        self._waits.add(waits)
        return waits

    def others_wait(self, waits: Waits) -> bool:
        """Return whether requests wait now that are not among *waits*."""
        return any(each.are_running for each in self._waits if each is not waits)

    def record_wait(self, waits: Waits, seconds: float) -> None:
        """Record that the server asks all requests to wait, in an answer to one of *waits*.

        Requests that wait less are ended with `RateLimitError`.
        """
        until = loop_time() + seconds
        if until <= max(loop_time(), self._asked_until):
            return
        self._asked_by, self._asked_until = waits, until
        for each in list(self._waits):
            if each is not waits and seconds > each.max_wait:
                each.end(_too_long(seconds))

    def check_wait(self, waits: Waits) -> None:
        """Refuse a request that would wait too long for what another view was asked to wait.

        Raises:
            ServerGivenUpError: the wait is longer than that of *waits* may be.
        """
        left = self._asked_until - loop_time()
        if self._asked_by is waits or left <= waits.max_wait:
            return
        quota = self.pacer.quota
        is_used_up = quota is not None and quota.left <= 0
        if self.pacer.pause_left() or self.breaker.is_open or is_used_up:
            raise ServerGivenUpError(_too_long(left))


def _too_long(seconds: float) -> RateLimitError:
    error = RateLimitError(
        f"the server has asked this client to wait, for {seconds:,.0f} s more, which is longer "
        "than max_wait",
        status_code=429,
    )
    error.retry_after = seconds
    return error
