"""Server quota: how many requests the server's headers leave, and when they are reset.

Works on numbers (`QuotaHeaders`); reading the headers is up to the caller. Pure: every method
gets the time.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class QuotaHeaders:
    """What the rate limit headers of one answer say.

    Attributes:
        remaining: requests left in the present quota period.
        reset: seconds until the period ends.
        limit: requests of a whole period, or None if the headers do not name it.
    """

    remaining: int
    reset: float
    limit: int | None = None


@attrs.frozen(kw_only=True)
class QuotaState:
    """What is left of the present quota period.

    Attributes:
        limit: requests of a whole period.
        left: requests left in it, those in flight subtracted; below zero if more were sent.
        rest: seconds until it ends, more than 0.
        idle: seconds since the last request was sent.
        period: seconds, the longest rest of a period that the server has stated: at most its
            length.
    """

    limit: int
    left: int
    rest: float
    idle: float
    period: float = 0.0


class ServerQuota:
    """Keep count of the requests that the server's headers leave in the present quota period.

    How long to wait because of that is up to the caller.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._last_sent = 0.0
        self._period_end: float | None = None
        self._limit = 0
        self._period = 0.0
        self._last_number = 0  # of the last request for which the period has room

    def record_request(self, now: float) -> int:
        """Count a request that is sent at *now*; return its number, from 1."""
        self._sent += 1
        self._last_sent = now
        return self._sent

    def record_quota(self, quota: QuotaHeaders, now: float, number: int) -> None:
        """Record what the answer to request *number*, which came at *now*, says of the quota.

        Requests with higher numbers are not counted in it. Of all answers about one period the
        lowest figures hold: answers overtake each other, and reset times are whole seconds,
        rounded up.
        """
        last_number, end = number + quota.remaining, now + quota.reset
        if self._period_end is not None and now < self._period_end:
            last_number, end = min(last_number, self._last_number), min(end, self._period_end)
        self._last_number, self._period_end = last_number, end
        self._period = max(self._period, quota.reset)
        self._limit = quota.limit or max(quota.remaining + 1, self._limit)

    def state(self, now: float) -> QuotaState | None:
        """Return what is left of the period at *now*, or None if none is known or it has ended."""
        if self._period_end is None or now >= self._period_end:
            return None
        return QuotaState(
            limit=self._limit,
            left=self._last_number - self._sent,
            rest=self._period_end - now,
            idle=now - self._last_sent,
            period=self._period,
        )

    def has_ended(self, now: float) -> bool:
        """Return whether the last known period has ended at *now*.

        Then one request is to be sent alone: its answer says what the next period holds.
        """
        return self._period_end is not None and now >= self._period_end
