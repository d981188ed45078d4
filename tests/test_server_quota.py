"""What servers say is left of a window: read from their headers, and kept within."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioburki._throttle.server_quota import QuotaHeaders, ServerQuota, read_quota_headers

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "30"},
            QuotaHeaders(7, 30, 1000),
        ),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": str(EPOCH + 9)}, QuotaHeaders(7, 9)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{EPOCH + 9}000"}, QuotaHeaders(7, 9)),
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
def test_headers_of_all_kinds_are_read(
    headers: dict[str, str], expected: QuotaHeaders | None
) -> None:
    """Seconds, epoch seconds and milliseconds, old names and drafts; nonsense is none."""
    assert read_quota_headers(httpx.Headers(headers), NOW) == expected


def test_reset_times_go_by_the_servers_clock() -> None:
    """A clock of ours that is an hour wrong changes nothing where the server sends its own."""
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
def test_no_header_breaks_a_pull(headers: dict[str, str]) -> None:
    """Whatever stands there, it is read or it is not."""
    said = read_quota_headers(httpx.Headers(headers), NOW)
    assert said is None or (said.remaining >= 0 and 0 <= said.reset <= 86_400)


def send(budget: ServerQuota, now: float, count: int = 1) -> int:
    return max(budget.take(now) for _ in range(count))


def test_a_short_window_is_used_up_and_waited_out() -> None:
    """As long as something is left requests go at once, then not before the window's end."""
    budget = ServerQuota(120)
    assert budget.delay(0, 0) == 0
    budget.learn(QuotaHeaders(3, 10, 5), 0.1, send(budget, 0))
    assert [budget.delay(1, 0), send(budget, 1), budget.delay(1, 1)] == [0, 2, 0]
    send(budget, 1, 2)
    assert budget.delay(1, 0) == pytest.approx(9.1)


def test_those_under_way_count() -> None:
    """An answer that does not know of later requests leaves them their place."""
    budget = ServerQuota(120)
    send(budget, 0, 4)
    budget.learn(QuotaHeaders(3, 10), 0.1, 1)
    assert budget.delay(0.1, 3) == pytest.approx(10)


def test_answers_that_overtake_each_other_give_nothing_back() -> None:
    """An older answer that comes later does not enlarge what is left."""
    budget = ServerQuota(120)
    send(budget, 0, 3)
    budget.learn(QuotaHeaders(0, 10), 0.1, 3)
    budget.learn(QuotaHeaders(9, 10.5), 0.2, 1)
    assert budget.delay(0.2, 0) == pytest.approx(9.9)


def test_after_the_end_one_request_asks_alone() -> None:
    """A new window may be of another size: who asks first learns it for all."""
    budget = ServerQuota(120)
    budget.learn(QuotaHeaders(0, 1), 0.0, send(budget, 0))
    assert budget.delay(1.0, 0) == 0
    number = send(budget, 1.0)
    assert budget.delay(1.1, 1) > 0
    budget.learn(QuotaHeaders(2, 1), 1.2, number)
    assert budget.delay(1.2, 0) == 0


def test_of_a_long_window_the_second_half_is_spread() -> None:
    """An hour's thousand is half for whoever comes first, then even until the hour is over."""
    budget, now, times = ServerQuota(120), 0.0, []
    budget.learn(QuotaHeaders(999, 3600, 1000), 0, send(budget, 0))
    while now < 3599:
        now += budget.delay(now, 0)
        times.append(now)
        send(budget, now)
    assert times[498] == 0
    assert 499 <= sum(time > 0 for time in times) <= 501
    assert times[501] - times[500] == pytest.approx(3600 / 500, rel=0.01)
    # Within the last two minutes the rest may go at once: their end can be waited for.
    assert sum(0 < time < 3480 for time in times) >= 480


def test_what_is_used_up_for_longer_than_we_wait_is_the_servers_to_say() -> None:
    """Nobody waits an hour without a word: the next request goes and is refused."""
    budget = ServerQuota(120)
    budget.learn(QuotaHeaders(0, 3600, 1000), 0, send(budget, 0))
    assert budget.delay(1, 0) == 0
