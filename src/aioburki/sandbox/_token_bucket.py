"""Token bucket: the rate limit of the sandbox."""

from __future__ import annotations

import math

import anyio

ROUNDING = 1e-9  # seconds; differences of clock readings are not exact


class TokenBucket:
    """Allow *rate* requests per second, with a burst of one second's worth; None for no limit.

    The bucket holds at least one token, so a rate below one request per second works too.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._full_at = -math.inf

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until one is available."""
        if self._rate is None:
            return 0.0
        now = anyio.current_time()
        full_at = max(self._full_at, now) + 1 / self._rate
        excess = full_at - now - max(1.0, 1 / self._rate)
        if excess > ROUNDING:
            return excess
        self._full_at = full_at
        return 0.0
