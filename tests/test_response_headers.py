"""Headers of an answer: waits and quotas, read as plain numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioburki._requests.response_headers import (
    parse_retry_after,
    read_quota_headers,
    read_requested_wait,
)
from aioburki._throttle import QuotaHeaders

NOW = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("2", 2.0),
        ("1.5", 1.5),
        (" 3 ", 3.0),
        ("1000000", 1_000_000.0),
        (str(EPOCH + 9), 9.0),
        (f"{EPOCH + 9}000", 9.0),
        (f"{EPOCH + 9}.5", 9.5),
        (str(EPOCH - 9), None),
        ("0", None),
        ("-5", None),
        ("abc", None),
        ("", None),
        ("inf", None),
        ("nan", None),
        ("2, 3", None),
        (None, None),
        ("Thu, 01 Feb 2024 10:30:07 GMT", 7.0),
        ("Thu, 01 Feb 2024 10:30:07 -0000", 7.0),
        ("Thu, 01 Feb 2024 11:30:07 +0100", 7.0),
        ("Thu, 01 Feb 2024 10:29:00 GMT", None),
        ("Thu, 01 Feb 100000 10:29:00 GMT", None),
        ("Thu, 99 Feb 2024 10:29:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait: float | None) -> None:
    """Usable values are returned as seconds, all others as None."""
    assert parse_retry_after(value, NOW) == wait


@given(st.text() | st.text(alphabet="0123456789-+.eE_, :GMTJan"))
def test_retry_after_accepts_any_text(value: str) -> None:
    """No header makes the parser raise, and none asks for a wait of zero."""
    wait = parse_retry_after(value, NOW)
    assert wait is None or wait > 0


@given(st.integers(1, 10**8))
def test_far_dates_are_not_clipped(delay: int) -> None:
    """A far date is returned as a long wait; the retry policy decides whether to wait."""
    header = format_datetime(NOW + timedelta(seconds=delay), usegmt=True)
    assert parse_retry_after(header, NOW) == delay


@pytest.mark.parametrize(
    ("status", "retry_after", "quota", "wait"),
    [
        (429, "5", QuotaHeaders(0, 30), 5),
        (429, "soon", QuotaHeaders(0, 30), 30),
        (429, None, QuotaHeaders(0, 30), 30),
        (429, None, QuotaHeaders(0, 0), None),
        (429, None, None, None),
        (503, "5", None, 5),
        (503, None, QuotaHeaders(0, 30), None),
    ],
)
def test_quota_of_a_429_stands_in_for_retry_after(
    status: int, retry_after: str | None, quota: QuotaHeaders | None, wait: float | None
) -> None:
    """A 429 without a usable Retry-After asks to wait until its quota is reset."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    assert read_requested_wait(headers, NOW, status=status, quota=quota) == wait


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "30"},
            QuotaHeaders(7, 30, 1000),
        ),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": str(EPOCH + 9)}, QuotaHeaders(7, 9)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{EPOCH + 9}000"},
         QuotaHeaders(7, 9)),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "5"}, QuotaHeaders(0, 5)),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, QuotaHeaders(50, 5, 100)),
        ({"RateLimit": '"default";r=50;t=30'}, QuotaHeaders(50, 30)),
        ({"x-ratelimit-limit": "10, 10;w=1", "x-ratelimit-remaining": "9",
          "x-ratelimit-reset": "1"}, QuotaHeaders(9, 1, 10)),
        ({"x-ratelimit-remaining": "7"}, None),
        ({"x-ratelimit-reset": "7"}, None),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "7"}, None),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": str(EPOCH - 9)}, None),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "86401"}, None),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "9" * 40}, None),
        ({"RateLimit": "nothing of use"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_quota_headers_of_all_kinds_are_read(
    headers: dict[str, str], expected: QuotaHeaders | None
) -> None:
    """Seconds, epoch seconds and milliseconds, old names and drafts; unusable ones are None."""
    assert read_quota_headers(httpx.Headers(headers), NOW) == expected


def test_reset_times_are_compared_with_the_servers_clock() -> None:
    """A client's clock that is an hour wrong changes nothing if the server sends a Date."""
    headers = httpx.Headers(
        {
            "x-ratelimit-remaining": "7",
            "x-ratelimit-reset": str(EPOCH + 3609),
            "date": format_datetime(datetime.fromtimestamp(EPOCH + 3600, UTC), usegmt=True),
        }
    )
    assert read_quota_headers(headers, NOW) == QuotaHeaders(7, 9)


@given(st.dictionaries(st.sampled_from([
    "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "date",
]), st.text(st.characters(min_codepoint=32, max_codepoint=126))))  # fmt: skip
def test_no_quota_header_raises(headers: dict[str, str]) -> None:
    """Any text is either read within its bounds or ignored."""
    quota = read_quota_headers(httpx.Headers(headers), NOW)
    assert quota is None or (quota.remaining >= 0 and 0 <= quota.reset <= 86_400)
