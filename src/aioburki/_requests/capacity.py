"""Capacity: how many requests a client may send now, as far as that is known."""

from __future__ import annotations

import math

import attrs

from .._throttle import QuotaState


@attrs.frozen(kw_only=True)
class Capacity:
    """How many requests a client may send, as far as that is known.

    Attributes:
        concurrency: requests that may be in flight.
        allowed: requests in flight with which the next pull begins, after its first page.
        rate: requests per second; infinity if no limit is known.
        quota: what is left of the server's quota; None if it is not known.
        spread: how many of the quota's last requests are spread over the rest of its period.
        pause: seconds that all requests are paused.
    """

    concurrency: int
    allowed: int
    rate: float = math.inf
    quota: QuotaState | None = None
    spread: int = 0
    pause: float = 0.0
