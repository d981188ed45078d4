"""Budget: how many requests a server says it has left for us, and when there will be more.

Reads ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (epoch seconds or seconds from now; an
older page of the vendor names them) and the IETF drafts' ``RateLimit-…`` and ``RateLimit``.
Arithmetic only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import attrs

from .back_off import http_date

# What claims to reset later than in a day is no rate limit, or not in seconds.
MAX_WINDOW = 86_400.0

# Reset times from here on are epoch seconds, and milliseconds from there on.
EPOCH = 1_000_000_000
MILLISECONDS = 100_000_000_000

# How soon to look again whether those under way have been answered.
UNTIL_ANSWERED = 0.01

_ITEM = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|r|t)\s*=\s*\"?(\d{1,15})")
_LONG_NAMES = {"r": "remaining", "t": "reset"}


@attrs.frozen
class QuotaHeaders:
    """Hold what one answer says: requests *remaining*, in all (*limit*), and seconds to *reset*."""

    remaining: int
    reset: float
    limit: int | None = None


def read_quota_headers(headers: Mapping[str, str], now: datetime) -> QuotaHeaders | None:
    """Return what the headers of an answer say is left, or None if they say nothing usable.

    Reset times are read against the server's own Date header, if it sends one, else *now*.
    """
    numbers = {
        name: number
        for name in ("limit", "remaining", "reset")
        for prefix in ("ratelimit-", "x-ratelimit-")
        if (number := _whole(headers.get(prefix + name))) is not None
    }
    if not numbers:
        items = _ITEM.findall(headers.get("ratelimit", "").lower())
        numbers = {_LONG_NAMES.get(name, name): int(number) for name, number in items}
    if "remaining" not in numbers or "reset" not in numbers:
        return None
    reset = float(numbers["reset"])
    if reset >= MILLISECONDS:
        reset /= 1000
    if reset >= EPOCH:
        reset -= (http_date(headers.get("date")) or now).timestamp()
    if not 0 <= reset <= MAX_WINDOW:
        return None
    return QuotaHeaders(numbers["remaining"], reset, numbers.get("limit"))


def _whole(text: str | None) -> int | None:
    match = re.match(r"\s*(\d{1,15})(?:\s*$|[\s,;.])", text or "")
    return int(match[1]) if match else None


class ServerQuota:
    """Keep within what the server says is left of its present window.

    A window that ends within *longest_wait* seconds is used up as fast as requests come, and
    the rest of it waited out. Of a longer one half goes as fast, and the rest evenly until
    it ends, because nobody is to wait for its end. After the end one request alone asks what
    the next window has.
    """

    def __init__(self, longest_wait: float) -> None:
        self._longest_wait = longest_wait
        self._sent = 0
        self._last_sent = 0.0
        self._ends: float | None = None
        self._whole = 0
        self._last_number = 0  # of the last request that the window has room for

    def take(self, now: float) -> int:
        """Count a request that is sent; return its number, from 1."""
        self._sent += 1
        self._last_sent = now
        return self._sent

    def learn(self, said: QuotaHeaders, now: float, number: int) -> None:
        """Take in the answer to request *number*, which came at *now*.

        Requests with higher numbers are not counted in it. Of all answers about one window
        the least holds: they overtake each other, and times are whole seconds, rounded up.
        """
        last_number, ends = number + said.remaining, now + said.reset
        if self._ends is not None and now < self._ends:
            last_number, ends = min(last_number, self._last_number), min(ends, self._ends)
        self._last_number, self._ends = last_number, ends
        self._whole = said.limit or max(said.remaining + 1, self._whole)

    def delay(self, now: float, in_flight: int) -> float:
        """Return the seconds until the next request may go, 0 for at once."""
        if self._ends is None:
            return 0.0
        rest, left = self._ends - now, self._last_number - self._sent
        if rest <= 0:
            return UNTIL_ANSWERED if in_flight else 0.0
        if rest <= self._longest_wait:
            return 0.0 if left > 0 else rest
        if left <= 0 or left > self._whole / 2:
            return 0.0  # nothing left for longer than we wait: the server is to say so itself
        return max(0.0, self._last_sent + rest / left - now)
