"""Server quota: requests keep within the quota that the server states in its headers."""

from __future__ import annotations

import pytest

from aioburki._requests.retry_policy import RetryPolicy
from aioburki._throttle.server_quota import QuotaHeaders, ServerQuota

POLICY = RetryPolicy(6, 120)


def send(quota: ServerQuota, now: float, count: int = 1) -> int:
    return max(quota.record_request(now) for _ in range(count))


def delay(quota: ServerQuota, now: float) -> float:
    """Return how long the retry policy lets a request wait for *quota*."""
    state = quota.state(now)
    return 0.0 if state is None else POLICY.wait_for_quota(state)


def test_short_quota_period_is_used_up_and_waited_out() -> None:
    """While requests are left they are sent at once, then not before the end of the period."""
    quota = ServerQuota()
    assert delay(quota, 0) == 0
    quota.record_quota(QuotaHeaders(3, 10, 5), 0.1, send(quota, 0))
    assert [delay(quota, 1), send(quota, 1), delay(quota, 1)] == [0, 2, 0]
    send(quota, 1, 2)
    assert delay(quota, 1) == pytest.approx(9.1)


def test_requests_in_flight_count() -> None:
    """Requests that were sent after the answered one are subtracted from what it leaves."""
    quota = ServerQuota()
    send(quota, 0, 4)
    quota.record_quota(QuotaHeaders(3, 10), 0.1, 1)
    assert delay(quota, 0.1) == pytest.approx(10)


def test_answers_that_overtake_each_other_do_not_enlarge_the_quota() -> None:
    """An older answer that arrives later does not change the lower figures."""
    quota = ServerQuota()
    send(quota, 0, 3)
    quota.record_quota(QuotaHeaders(0, 10), 0.1, 3)
    quota.record_quota(QuotaHeaders(9, 10.5), 0.2, 1)
    assert delay(quota, 0.2) == pytest.approx(9.9)


def test_quota_of_an_ended_period_says_nothing() -> None:
    """A new period may have another size: only an answer to a request says which."""
    quota = ServerQuota()
    assert not quota.has_ended(0.0)
    quota.record_quota(QuotaHeaders(0, 1), 0.0, send(quota, 0))
    assert not quota.has_ended(0.9)
    assert quota.has_ended(1.0)
    assert quota.state(1.0) is None
    quota.record_quota(QuotaHeaders(2, 1), 1.2, send(quota, 1.0))
    assert not quota.has_ended(1.2)
    assert delay(quota, 1.2) == 0


def test_second_half_of_a_long_period_is_spread() -> None:
    """Half of an hour's thousand may be sent at once, the rest evenly until the hour ends."""
    quota, now, times = ServerQuota(), 0.0, []
    quota.record_quota(QuotaHeaders(999, 3600, 1000), 0, send(quota, 0))
    while now < 3599:
        now += delay(quota, now)
        times.append(now)
        send(quota, now)
    assert times[498] == 0
    assert 499 <= sum(time > 0 for time in times) <= 501
    assert times[501] - times[500] == pytest.approx(3600 / 500, rel=0.01)
    # In the last two minutes the rest may be sent at once: the end can be waited for.
    assert sum(0 < time < 3480 for time in times) >= 480


def test_long_period_is_not_spread_beyond_max_wait() -> None:
    """Ten requests for half a day are sent at once, and after them the wait is the half day."""
    quota = ServerQuota()
    quota.record_quota(QuotaHeaders(10, 43_200, 1000), 0, send(quota, 0))
    waits = []
    for _ in range(11):
        waits.append(delay(quota, 1))
        send(quota, 1)
    assert waits == [0.0] * 10 + [43_199]
