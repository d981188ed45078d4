"""Response headers: Retry-After and rate limit headers as plain numbers.

Reads ``Retry-After``, ``Date``, ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (an older page
of the vendor's documentation names these three), and the ``RateLimit-…`` and ``RateLimit`` fields
of the IETF drafts (draft-ietf-httpapi-ratelimit-headers). Pure functions; no header text makes
them raise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .._throttle import QuotaHeaders

# Seconds. A reset later than in a day is no rate limit, or not in seconds.
MAX_QUOTA_PERIOD = 86_400.0

# Numbers from the first figure on are moments: epoch seconds (2001-09-09 and later), from the
# second on epoch milliseconds (1973-03-03 and later). Smaller ones are seconds from now.
MIN_EPOCH_SECONDS = 1_000_000_000
MIN_EPOCH_MILLISECONDS = 100_000_000_000

_RATE_LIMIT_ITEM = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|r|t)\s*=\s*\"?(\d{1,15})")
_LONG_NAMES = {"r": "remaining", "t": "reset"}


def read_requested_wait(
    headers: Mapping[str, str], now: datetime, *, status: int, quota: QuotaHeaders | None
) -> float | None:
    """Return the seconds that an error response asks the client to wait, or None.

    That is its Retry-After; for a 429 without a usable one, the time until its quota is reset.
    A date is read against the server's own Date header where there is one, else against *now*,
    an aware datetime: the client's clock may be wrong by more than the wait.
    """
    server_time = parse_http_date(headers.get("date")) or now
    wait = parse_retry_after(headers.get("retry-after"), server_time)
    if wait is None and status == 429 and quota is not None and quota.reset > 0:
        return quota.reset
    return wait


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None if it has no usable value.

    Accepts seconds, with a fraction too, and a moment, which is compared with *now*, an aware
    datetime: an HTTP date, or the seconds or milliseconds since the epoch that some servers send.
    Long waits are not cut. Zero and what lies in the past are not usable, because the request would
    be repeated without any wait.
    """
    if value is None:
        return None
    try:
        wait = _seconds_from(float(value), now)
    except ValueError:
        date = parse_http_date(value)
        wait = math.nan if date is None else (date - now).total_seconds()
    return wait if math.isfinite(wait) and wait > 0 else None


def parse_http_date(value: str | None) -> datetime | None:
    """Return the moment that a Date or Retry-After header names, or None if it is no date."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_quota_headers(headers: Mapping[str, str], now: datetime) -> QuotaHeaders | None:
    """Return the quota that the headers of a response state, or None if none is usable.

    *headers* must ignore case, as `httpx.Headers` do. A reset time in epoch seconds is compared
    with the server's own Date header where there is one, else with *now*, an aware datetime.
    """
    numbers = {
        name: number
        for name in ("limit", "remaining", "reset")
        for prefix in ("ratelimit-", "x-ratelimit-")
        if (number := _leading_whole_number(headers.get(prefix + name))) is not None
    }
    if not numbers:
        items = _RATE_LIMIT_ITEM.findall(headers.get("ratelimit", "").lower())
        numbers = {_LONG_NAMES.get(name, name): int(number) for name, number in items}
    if "remaining" not in numbers or "reset" not in numbers:
        return None
    server_time = parse_http_date(headers.get("date")) or now
    reset = _seconds_from(float(numbers["reset"]), server_time)
    if not 0 <= reset <= MAX_QUOTA_PERIOD:
        return None
    return QuotaHeaders(numbers["remaining"], reset, numbers.get("limit"))


def _seconds_from(number: float, now: datetime) -> float:
    """Return *number* as seconds from *now*: it is either that already, or a moment."""
    if number < MIN_EPOCH_SECONDS:
        return number
    moment = number / 1000 if number >= MIN_EPOCH_MILLISECONDS else number
    return moment - now.timestamp()


def _leading_whole_number(text: str | None) -> int | None:
    match = re.match(r"\s*(\d{1,15})(?:\s*$|[\s,;.])", text or "")
    return int(match[1]) if match else None
