"""Request reporter: what happens to the requests of a client, as events and log lines."""

from __future__ import annotations

import logging
from typing import Any

from .._clock import loop_time
from .._event_sender import EventSender
from .._events import (
    PageFetched,
    PauseReason,
    PauseStarted,
    RequestFinished,
    RequestOutcome,
    RetryScheduled,
)
from .._page import Page
from .decisions import Decision, GiveUp, Pause, Retry
from .failures import Failure
from .page_request import PageRequest

# Seconds. A shorter wait in which a pull begins is not reported; as `PacerConfig.min_told`.
MIN_TOLD = 1.0

# What a log line says of a pause.
_CAUSES: dict[PauseReason, str] = {
    "rate_limited": "HTTP 429",
    "quota": "the server's quota",
    "measured_limit": "the server's limit",
    "limiter": "the shared limiter",
    "outage": "the server is down",
}


class RequestReporter:
    """Count what happens to requests, and send the events of it.

    Args:
        events: logs and sends events.
    """

    def __init__(self, events: EventSender) -> None:
        self._events = events

    def report_request(self, request: PageRequest[Any], outcome: RequestOutcome) -> None:
        """Report that a request has ended, if it was sent, and count a 429."""
        if outcome == "rate_limited":
            request.stats.rate_limited += 1
        if not request.is_sent:
            return
        waited, request.waited, request.is_sent = request.waited, 0.0, False
        if not self._events.is_wanted(logging.DEBUG):
            return
        seconds, status = loop_time() - request.sent, request.status_code
        event = RequestFinished(
            pull_id=request.pull_id,
            campaign_id=request.campaign_id,
            page=request.page,
            attempt=request.attempts,
            status_code=status,
            outcome=outcome,
            seconds=seconds,
            waited=waited,
        )
        self._events.send(
            event, logging.DEBUG, "campaign %d page %d attempt %d: %s, %s, %.3f s",
            request.campaign_id, request.page, request.attempts,
            "no response" if status is None else f"HTTP {status}", outcome, seconds,
        )  # fmt: skip

    def report_page(self, request: PageRequest[Any], page: Page[Any]) -> None:
        """Report that a page of a pull has come."""
        if request.pull_id is None or not self._events.is_wanted(logging.DEBUG):
            return
        event = PageFetched(
            pull_id=request.pull_id,
            campaign_id=request.campaign_id,
            page=request.page,
            contacts=len(page.items),
            total_pages=page.pagination.total_pages,
            total_items=page.pagination.total_items,
            attempts=request.attempts,
            seconds=loop_time() - request.started,
        )
        self._events.send(
            event, logging.DEBUG, "campaign %d page %d: %d %ss, %d attempts, %.3f s",
            event.campaign_id, event.page, event.contacts, request.query.endpoint.noun,
            event.attempts, event.seconds,
        )  # fmt: skip

    def report_failure(
        self,
        request: PageRequest[Any],
        failure: Failure,
        decision: Decision | None,
        *,
        pause_left: float = 0.0,
    ) -> None:
        """Report that a request has failed, and the retry or the pause that follows.

        Args:
            request: the request.
            failure: its failure.
            decision: what follows; None if the server was given up meanwhile.
            pause_left: seconds that all requests of the client are paused already.
        """
        if failure.is_refusal:
            self.report_request(request, "rate_limited")
        else:
            self.report_request(request, "retry" if isinstance(decision, Retry) else "failed")
        if isinstance(decision, Retry):
            self._report_retry(request, decision)
            return
        of_all = 0.0 if decision is None else max(pause_left, decision.pause_all)
        if isinstance(decision, GiveUp) and decision.pause_all:  # the next pulls wait for its end
            decision = Pause(delay=of_all, pause_all=of_all, is_new=True)
        if isinstance(decision, Pause) and decision.is_new:
            wait, detail = failure.retry_after, failure.error.message
            self.report_pause(request, decision, wait, of_all=of_all, detail=detail)

    def report_waits(
        self, request: PageRequest[Any], *, outage_left: float, pause_left: float
    ) -> None:
        """Report that a pull begins while requests wait; later its own failures say so.

        Args:
            request: the next request.
            outage_left: seconds until a server that is down is tried again; 0 if it is not.
            pause_left: seconds that all requests of the client are paused after a 429.
        """
        seconds = max(outage_left, pause_left)
        if seconds < MIN_TOLD or request.stats.requests or request.failing_since is not None:
            return
        reason: PauseReason = "outage" if outage_left >= pause_left else "rate_limited"
        pause = Pause(delay=seconds, pause_all=seconds, is_new=True, reason=reason)
        self.report_pause(request, pause, None, of_all=seconds)

    def report_pause(
        self,
        request: PageRequest[Any],
        pause: Pause,
        retry_after: float | None,
        *,
        of_all: float,
        detail: str = "",
    ) -> None:
        """Report that a wait begins that the server causes.

        Args:
            request: the request that waits.
            pause: its wait.
            retry_after: seconds that the server asked for; None if it did not say.
            of_all: seconds that all requests of the client wait; 0 if this one waits alone.
            detail: the words of the server.
        """
        event = PauseStarted(
            pull_id=request.pull_id,
            campaign_id=request.campaign_id,
            page=request.page,
            seconds=of_all or pause.delay,
            retry_after=retry_after,
            reason=pause.reason,
            detail=detail,
        )
        self._events.send(
            event, logging.INFO, "campaign %d page %d: %s, %s %.2f s",
            event.campaign_id, event.page, _CAUSES[event.reason],
            "all requests wait" if of_all else "this request waits", event.seconds,
        )  # fmt: skip

    def _report_retry(self, request: PageRequest[Any], retry: Retry) -> None:
        """Report that a request is sent again, and count that."""
        request.stats.retries += 1
        event = RetryScheduled(
            pull_id=request.pull_id,
            campaign_id=request.campaign_id,
            page=request.page,
            attempt=request.attempts,
            delay=retry.delay,
            reason=retry.reason,
            detail=retry.detail,
        )
        self._events.send(
            event, logging.INFO, "campaign %d page %d attempt %d: %s; again in %.2f s",
            event.campaign_id, event.page, event.attempt, event.detail, event.delay,
        )  # fmt: skip
