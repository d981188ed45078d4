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
class ServerQuotaConfig:
    """The constants of `ServerQuota`.

    Attributes:
        answer_poll: seconds between two looks whether the requests of an ended period have been
            answered. Judgement: below the latency of a network, so that it adds little to it.
        spread_share: share of a long period's requests that is spread evenly over the rest of
            the period. Judgement: a pull that needs half of the quota or less is not slowed down,
            and a larger one does not stop until the period ends.
    """

    answer_poll: float = 0.01
    spread_share: float = 0.5


class ServerQuota:
    """Keep within the requests that the server's headers leave in the present quota period.

    A period that ends within *max_wait* seconds is used up as fast as requests come; then they
    wait for its end. Of a longer period, the first half is used up as fast as requests come and the
    second half is spread evenly over the rest of the period, because its end is too far away to
    wait for. After the end of a period one request alone is sent; its answer says what the next
    period holds.

    Args:
        max_wait: seconds that a request may wait for the end of a period.
        config: the constants.
    """

    def __init__(self, max_wait: float, config: ServerQuotaConfig | None = None) -> None:
        self._max_wait = max_wait
        self._config = config or ServerQuotaConfig()
        self._sent = 0
        self._last_sent = 0.0
        self._period_end: float | None = None
        self._limit = 0
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
        self._limit = quota.limit or max(quota.remaining + 1, self._limit)

    def delay(self, now: float, in_flight: int) -> float:
        """Return the seconds until the next request may be sent, 0 for at once."""
        if self._period_end is None:
            return 0.0
        rest, left = self._period_end - now, self._last_number - self._sent
        if rest <= 0:
            return self._config.answer_poll if in_flight else 0.0
        if rest <= self._max_wait:
            return 0.0 if left > 0 else rest
        if left <= 0:
            return 0.0  # the end is too far away to wait for: the server may refuse the request
        if left > self._limit * self._config.spread_share:
            return 0.0
        return max(0.0, self._last_sent + rest / left - now)
