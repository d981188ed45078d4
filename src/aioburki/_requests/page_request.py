"""Page request: one page to fetch, and its attempts so far."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from .._clock import loop_time
from .._endpoint import ListQuery
from .._errors import BurkiError
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
        attempts: attempts to send a request for the page.
        failures: failed attempts, without 429s and without those counted in `busy`.
        busy: 503s that may be a limit.
        refusals: 429s.
        number: the pacer's number of the last request.
        sent: the loop's time at which the last request was sent, in seconds.
        in_flight: how many requests were in flight then, with it.
        is_surplus: whether it was refused because too many were in flight.
        is_trial: whether the last request was a trial request of the circuit breaker.
        failing_since: the loop's time of the first failure without an answer or with a 5xx.
        given_up: how often the server had been given up when the last request was sent.
        is_sent: whether the last request was sent, and has not been found to wait still.
        waited: seconds that the page waited since the request before the last was sent.
        status_code: the status of the last response; None if there was none.
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
    in_flight: int = 0
    is_surplus: bool = False
    is_trial: bool = False
    failing_since: float | None = None
    given_up: int = 0
    is_sent: bool = False
    waited: float = 0.0
    status_code: int | None = None

    @property
    def pull_id(self) -> str | None:
        """Return what identifies the pull, for events; None if the page is part of no pull."""
        return self.stats.pull_id

    @property
    def campaign_id(self) -> int:
        """Return the id of the campaign, for messages and events."""
        return self.query.campaign_id

    @property
    def page(self) -> int:
        """Return the number of the page, from 1, for messages and events."""
        return self.window.page

    def located(self, error: BurkiError) -> BurkiError:
        """Return *error* with the page in its message."""
        error.campaign_id = self.campaign_id
        error.page = self.page
        error.attempts = self.attempts
        return error

    def record_wait_time(self, seconds: float) -> None:
        """Record that the page has waited for *seconds*: a back-off, a pause, or for its turn."""
        self.waited += seconds
        self.stats.waited += seconds

    def record_sent(self) -> None:
        """Record that the request is sent now."""
        self.sent = loop_time()
        self.is_sent = True
        self.stats.requests += 1

    def record_wait(self) -> None:
        """Record that the request is not sent yet: it waits for a connection."""
        self.is_sent = False
        self.stats.requests -= 1
