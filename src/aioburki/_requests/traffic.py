"""Traffic: what all requests of a client share, whatever options each of them has."""

from __future__ import annotations

from .._settings import Settings
from .._throttle import BusySigns, CircuitBreaker, Pacer
from .retry_policy import RetryPolicy
from .send_queue import SendQueue
from .waits import Waits


class Traffic:
    """The pace, the slots and the circuit breaker of one client, for all its requests.

    Args:
        settings: the client's settings.

    Attributes:
        pacer: when the next request may be sent.
        breaker: holds requests back while the server is down.
        busy_signs: tells an outage from a limit where the server answers 503 to both.
        queue: which request is sent next, and how many are in flight.
        waits: what ends when the server is given up.
        is_closed: whether no request may be sent any more.
    """

    def __init__(self, settings: Settings) -> None:
        policy = RetryPolicy(settings.attempts, settings.max_wait)
        self.pacer = Pacer(
            settings.rate, max_wait=settings.max_wait, quota_wait=policy.wait_for_quota
        )
        self.breaker = CircuitBreaker()
        self.busy_signs = BusySigns(self.pacer)
        self.queue = SendQueue(
            settings.concurrency,
            is_open=lambda: self.breaker.is_open,
            max_in_flight=lambda: self.pacer.max_in_flight,
        )
        self.waits = Waits()
        self.is_closed = False
