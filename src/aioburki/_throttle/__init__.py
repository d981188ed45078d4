"""Throttle: when the next request may be sent. Knows neither HTTP nor contacts, only numbers.

`Pacer` spaces requests in time, within the rate that `RateEstimator` finds and the quota that
`ServerQuota` keeps. `CircuitBreaker` holds requests back while the server is down. What follows a
failed request is up to the caller's retry policy.
"""

from __future__ import annotations

from .circuit_breaker import Circuit, CircuitBreaker
from .pacer import Pacer, Refusal
from .server_quota import QuotaHeaders

__all__ = [
    "Circuit",
    "CircuitBreaker",
    "Pacer",
    "QuotaHeaders",
    "Refusal",
]
