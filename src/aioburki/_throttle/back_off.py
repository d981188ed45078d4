"""Retry: is a failure worth another attempt, and how long to wait. Arithmetic only."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# 520 … 530 are what Cloudflare answers when it cannot reach the server behind it; the
# others say of themselves that they may pass.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})

# The first retry comes almost at once, because a kept-alive connection that the server had
# just closed is the commonest failure; the fifth may wait 8 s, long enough for a restart.
MIN_WINDOW = 0.1
GROWTH = 3.0
MAX_WINDOW = 20.0

# A 429 that names no time: nobody knows how long, but well under a second was too early.
MIN_PAUSE_WINDOW = 1.0


def back_off(failures: int, fraction: float) -> float:
    """Return the seconds to wait after the *failures*-th failure in a row, from 1.

    Full jitter: *fraction*, a random number in [0, 1), of a window that triples.
    """
    exponent = min(failures - 1, 10)  # keeps the power small; the window is capped long before
    return fraction * min(MAX_WINDOW, MIN_WINDOW * GROWTH**exponent)


def pause_without_advice(refusals: int, fraction: float) -> float:
    """Return the seconds to pause after the *refusals*-th 429 in a row without Retry-After.

    Jittered between half a window and the whole of it: after a refusal zero is never right.
    """
    window = min(MAX_WINDOW, MIN_PAUSE_WINDOW * 2.0 ** min(refusals - 1, 10))
    return window * (0.5 + fraction / 2)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None if it says nothing usable.

    Takes seconds, fractions too, or an HTTP date against *now*, an aware datetime. Nothing is
    clipped at the long end. What lies in the past or at zero is not usable: waiting for it
    would be no wait at all.
    """
    if value is None:
        return None
    try:
        wait = float(value)
    except ValueError:
        then = http_date(value)
        wait = math.nan if then is None else (then - now).total_seconds()
    return wait if math.isfinite(wait) and wait > 0 else None


def http_date(value: str | None) -> datetime | None:
    """Return the moment that a Date or Retry-After header names, or None if it is no date."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
