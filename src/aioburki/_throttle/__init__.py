"""Throttle: when the next request may be sent. Knows neither HTTP nor contacts, only numbers.

`Pacer` spaces requests in time, within the rate that `RateEstimator` finds and the quota that
`ServerQuota` keeps; and with a `Limiter`, within a limit that several processes share.
`CircuitBreaker` holds requests back while the server is down; `BusySigns` tells an outage from a
limit where the server answers 503 to both. What follows a failed request, and how long to wait for
a quota, is up to the caller's retry policy.
"""

from __future__ import annotations

from .busy_signs import BusySigns
from .circuit_breaker import Circuit, CircuitBreaker
from .limiter import Grant, Limiter, check_limiter
from .pacer import Pacer
from .refusals import Refusal
from .server_quota import QuotaHeaders, QuotaState
from .server_wait import ServerWait, WaitTerms

__all__ = [
    "BusySigns",
    "Circuit",
    "CircuitBreaker",
    "Grant",
    "Limiter",
    "Pacer",
    "QuotaHeaders",
    "QuotaState",
    "Refusal",
    "ServerWait",
    "WaitTerms",
    "check_limiter",
]
