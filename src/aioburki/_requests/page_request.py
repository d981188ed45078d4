"""Page request: one page to fetch, and what its attempts have come to so far."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from .._endpoint import ListQuery
from .._page import PageWindow
from .stats import RequestStats

T = TypeVar("T")


@attrs.define
class PageRequest(Generic[T]):
    """One page to fetch, and its attempts so far.

    Attributes:
        query: which list the page is of.
        window: which page it is.
        stats: counts the requests of the pull.
        started: the loop's time at which the fetch began, in seconds.
        attempts: requests sent for the page.
        failures: failed attempts, without 429s and without those counted in `busy`.
        busy: 503s that may be a limit.
        refusals: 429s.
        number: the pacer's number of the last request.
        sent: the loop's time at which the last request was sent, in seconds.
        is_trial: whether the last request was a trial request of the circuit breaker.
    """

    query: ListQuery[T]
    window: PageWindow
    stats: RequestStats
    started: float
    attempts: int = 0
    failures: int = 0
    busy: int = 0
    refusals: int = 0
    number: int = 0
    sent: float = 0.0
    is_trial: bool = False

    @property
    def campaign_id(self) -> int:
        """Return the id of the campaign, for messages and events."""
        return self.query.campaign_id

    @property
    def page(self) -> int:
        """Return the number of the page, from 1, for messages and events."""
        return self.window.page
