"""Estimate: how many requests a pull will send, and how long it will take, before it starts."""

from __future__ import annotations

import math
from typing import Any

import attrs

from ._list_reader import ListReader
from ._page import Page
from ._paging import Bounds, window_near
from ._requests import Capacity, RequestStats

# More requests of a complete pull whose keys are not consecutive, per page: its windows overlap by
# a thirtieth, and some seams need a probe (interface.md: "some 8 % more").
SPARSE_SHARE = 0.08

# A list without a usable order is read until two readings in a row find nothing new.
MIN_SWEEPS = 2


@attrs.frozen(kw_only=True)
class PullEstimate:
    """How many requests a pull would send, and how long it would take, if it started now.

    An estimate: the list may move, and the server may become slower, fail, or have a limit that it
    has not shown yet. The time that the consumer takes is not in it.

    Attributes:
        contacts: contacts that the pull would deliver, by the server's count and ``limit``; of a
            range, by the places where it began and ended when it was made.
        pages: pages that hold them.
        requests: requests without retries; of a complete pull with those that close seams, whose
            number depends on the list: 8 % more than pages where ids are missing, twice as many or
            more where the contacts show no usable order.
        seconds: time from the first request to the last page: the longest of what
            ``concurrency`` and `page_seconds`, the known rate, and the known quota allow.
        page_seconds: time that the server took for the page that was requested for the estimate.
        concurrency: requests that may be in flight.
        requests_per_second: the lowest of the client's ``rate``, the limit that was measured, and
            the rate of a shared ``limiter``, of which other processes may need a part; None if
            none is known.
        quota_left: requests that the server's headers leave in the present quota period; None if
            it sends none. More than these wait for the next period.
        quota_reset: seconds until that period ends; None as well. If it is longer than
            ``max_wait`` and the quota is too small, the pull ends with `RateLimitError`.
    """

    contacts: int
    pages: int
    requests: int
    seconds: float
    page_seconds: float
    concurrency: int
    requests_per_second: float | None = None
    quota_left: int | None = None
    quota_reset: float | None = None


async def estimate_of(reader: ListReader[Any]) -> PullEstimate:
    """Return the estimate for a pull of *reader*; one request, of the page with which it begins."""
    stats = RequestStats()
    window = window_near(0 if reader.bounds is None else reader.bounds.offset, reader.per_page, 1)
    page = await reader.page_at(window, stats)
    contacts = _contacts(page, reader.bounds, reader.limit)
    is_clamped = page is not None and page.pagination.per_page < window.per_page
    size = page.pagination.per_page if page is not None and is_clamped else reader.per_page
    pages = math.ceil(contacts / max(1, size))
    requests, last = (0 if reader.limit == 0 else max(1, pages)), 0
    if reader.is_complete and page is not None and pages > 1:
        requests, last = _complete_requests(reader, page, pages)
    capacity = reader.fetcher.capacity
    quota = capacity.quota
    return PullEstimate(
        contacts=contacts,
        pages=pages,
        requests=requests + last,
        seconds=seconds_of(requests + last, stats.page_seconds, capacity, last=last),
        page_seconds=stats.page_seconds,
        concurrency=capacity.concurrency,
        requests_per_second=capacity.rate if capacity.rate < math.inf else None,
        quota_left=None if quota is None else max(0, quota.left),
        quota_reset=None if quota is None else quota.rest,
    )


def seconds_of(requests: int, page_seconds: float, capacity: Capacity, *, last: int = 0) -> float:
    """Return how long *requests* take that are answered in *page_seconds* each.

    After the end of the present quota period each further period has room for a whole quota. The
    *last* of them are sent one after the other.
    """
    seconds = _without_quota(requests, page_seconds, capacity, last)
    quota = capacity.quota
    if quota is not None and requests > 0:
        left = max(0, quota.left)
        if requests > left:
            periods, last = divmod(requests - left - 1, max(1, quota.limit))
            tail = _without_quota(last + 1, page_seconds, capacity)
            seconds = max(seconds, quota.rest + periods * quota.period + tail)
        elif (spread := requests - (left - capacity.spread)) > 0 and capacity.spread:
            fast = _without_quota(left - capacity.spread, page_seconds, capacity)
            seconds = max(seconds, fast + spread * (quota.rest - fast) / capacity.spread)
    return capacity.pause + seconds


def _without_quota(requests: int, page_seconds: float, capacity: Capacity, last: int = 0) -> float:
    """Return the longer of the times that the rate and the number in flight allow."""
    if requests <= 0:
        return 0.0
    rounds, left, allowed = 1 + last, requests - 1 - last, capacity.allowed
    while left > 0 and allowed < capacity.concurrency:
        rounds, left, allowed = rounds + 1, left - allowed, min(2 * allowed, capacity.concurrency)
    rounds += math.ceil(max(0, left) / capacity.concurrency)
    return max(rounds * page_seconds, (requests - 1) / capacity.rate + page_seconds)


def _contacts(page: Page[Any] | None, bounds: Bounds | None, limit: int | None) -> int:
    total = 0 if page is None else page.pagination.total_items
    if bounds is not None:
        total = max(0, (min(bounds.end, total) if bounds.end else total) - bounds.offset)
    return total if limit is None else min(total, limit)


def _complete_requests(reader: ListReader[Any], page: Page[Any], pages: int) -> tuple[int, int]:
    """Return how many requests a complete pull of *pages* sends, and how many more at its end.

    At the end of a list with the newest first page 1 is read again; at that of a range, the page
    behind it.
    """
    keys = [(order, order.keys(page.items)) for order in reader.orders]
    sorted_keys = [(order, found) for order, found in keys if found and order.is_sorted(found)]
    if not sorted_keys:
        return MIN_SWEEPS * pages, 0
    is_whole = reader.bounds is None and reader.limit is None
    last = int(reader.bounds is not None or (is_whole and sorted_keys[0][0].is_falling))
    if any(order.is_consecutive(found) for order, found in sorted_keys):
        return pages, last
    return math.ceil(pages * (1 + SPARSE_SHARE)), last
