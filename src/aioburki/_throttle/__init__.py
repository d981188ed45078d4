"""Throttle."""

from __future__ import annotations

from .back_off import TRANSIENT_STATUSES, back_off, http_date, retry_after
from .circuit_breaker import CircuitBreaker
from .pacer import Pacer
from .server_quota import QuotaHeaders, read_quota_headers

__all__ = [
    "TRANSIENT_STATUSES",
    "CircuitBreaker",
    "Pacer",
    "QuotaHeaders",
    "back_off",
    "http_date",
    "read_quota_headers",
    "retry_after",
]
