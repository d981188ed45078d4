"""Server quota: requests keep within the quota that the server states in its headers."""

from __future__ import annotations

import pytest

from aioburki._throttle.server_quota import QuotaHeaders, ServerQuota


def send(quota: ServerQuota, now: float, count: int = 1) -> int:
    return max(quota.record_request(now) for _ in range(count))


def test_short_quota_period_is_used_up_and_waited_out() -> None:
    """While requests are left they are sent at once, then not before the end of the period."""
    quota = ServerQuota(120)
    assert quota.delay(0, 0) == 0
    quota.record_quota(QuotaHeaders(3, 10, 5), 0.1, send(quota, 0))
    assert [quota.delay(1, 0), send(quota, 1), quota.delay(1, 1)] == [0, 2, 0]
    send(quota, 1, 2)
    assert quota.delay(1, 0) == pytest.approx(9.1)


def test_requests_in_flight_count() -> None:
    """Requests that were sent after the answered one are subtracted from what it leaves."""
    quota = ServerQuota(120)
    send(quota, 0, 4)
    quota.record_quota(QuotaHeaders(3, 10), 0.1, 1)
    assert quota.delay(0.1, 3) == pytest.approx(10)


def test_answers_that_overtake_each_other_do_not_enlarge_the_quota() -> None:
    """An older answer that arrives later does not change the lower figures."""
    quota = ServerQuota(120)
    send(quota, 0, 3)
    quota.record_quota(QuotaHeaders(0, 10), 0.1, 3)
    quota.record_quota(QuotaHeaders(9, 10.5), 0.2, 1)
    assert quota.delay(0.2, 0) == pytest.approx(9.9)


def test_first_request_of_a_period_is_sent_alone() -> None:
    """A new period may have another size: the others wait for the answer that says so."""
    quota = ServerQuota(120)
    quota.record_quota(QuotaHeaders(0, 1), 0.0, send(quota, 0))
    assert quota.delay(1.0, 0) == 0
    number = send(quota, 1.0)
    assert quota.delay(1.1, 1) > 0
    quota.record_quota(QuotaHeaders(2, 1), 1.2, number)
    assert quota.delay(1.2, 0) == 0


def test_second_half_of_a_long_period_is_spread() -> None:
    """Half of an hour's thousand may be sent at once, the rest evenly until the hour ends."""
    quota, now, times = ServerQuota(120), 0.0, []
    quota.record_quota(QuotaHeaders(999, 3600, 1000), 0, send(quota, 0))
    while now < 3599:
        now += quota.delay(now, 0)
        times.append(now)
        send(quota, now)
    assert times[498] == 0
    assert 499 <= sum(time > 0 for time in times) <= 501
    assert times[501] - times[500] == pytest.approx(3600 / 500, rel=0.01)
    # In the last two minutes the rest may be sent at once: the end can be waited for.
    assert sum(0 < time < 3480 for time in times) >= 480


def test_used_up_long_period_is_not_waited_for() -> None:
    """Instead of waiting an hour the next request is sent, and the server may refuse it."""
    quota = ServerQuota(120)
    quota.record_quota(QuotaHeaders(0, 3600, 1000), 0, send(quota, 0))
    assert quota.delay(1, 0) == 0
