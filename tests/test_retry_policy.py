"""The arithmetic of waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioburki._throttle.back_off import (
    TRANSIENT_STATUSES,
    back_off,
    pause_without_advice,
    retry_after,
)

NOW = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)


def test_transient_statuses_are_those_that_may_pass() -> None:
    """Timeouts, limits, broken gateways and Cloudflare's own; nothing else."""
    assert sorted(TRANSIENT_STATUSES) == [
        408, 425, 429, 500, 502, 503, 504, *range(520, 531),
    ]  # fmt: skip


def test_back_off_has_full_jitter_in_growing_windows() -> None:
    """Windows of 0.1, 0.3, 0.9, 2.7, 8.1, 20 seconds, from nothing to the whole."""
    windows = [back_off(failures, 1.0) for failures in (1, 2, 3, 4, 5, 6, 1000)]
    assert windows == pytest.approx([0.1, 0.3, 0.9, 2.7, 8.1, 20, 20])
    assert back_off(5, 0.0) == 0.0


def test_pause_without_advice_is_never_zero() -> None:
    """After a refusal somebody waits, twice as long each time up to a bound."""
    assert [pause_without_advice(n, 0.0) for n in (1, 2, 3, 9, 9999)] == [0.5, 1, 2, 10, 10]
    assert pause_without_advice(1, 1.0) == 1.0


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("2", 2.0),
        ("1.5", 1.5),
        (" 3 ", 3.0),
        ("1000000", 1_000_000.0),
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
    """Usable values come out as seconds, whole; all others as None."""
    assert retry_after(value, NOW) == wait


@given(st.text() | st.text(alphabet="0123456789-+.eE_, :GMTJan"))
def test_retry_after_takes_any_text(value: str) -> None:
    """No header makes the parser fail, and none asks for a wait of nothing."""
    wait = retry_after(value, NOW)
    assert wait is None or wait > 0


@given(st.integers(1, 10**8))
def test_dates_are_not_clipped(delay: int) -> None:
    """A far date is a long wait; whether to wait that long is decided elsewhere."""
    header = format_datetime(NOW + timedelta(seconds=delay), usegmt=True)
    assert retry_after(header, NOW) == delay
