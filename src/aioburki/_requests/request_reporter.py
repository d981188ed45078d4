"""Request reporter: what happens to the requests of a client, as events and log lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .._clock import loop_time
from .._events import Event, PageFetched, PauseStarted, RetryScheduled
from .._page import Page
from .page_request import PageRequest
from .retry_policy import Pause, Retry

logger = logging.getLogger("aioburki")


class RequestReporter:
    """Log what happens to requests, and call *on_event*, if it is given, with each event."""

    def __init__(self, on_event: Callable[[Event], object] | None) -> None:
        self._on_event = on_event

    def report_page(self, request: PageRequest[Any], page: Page[Any]) -> None:
        """Report that a page has come."""
        seconds = loop_time() - request.started
        logger.debug(
            "campaign %d page %d: %d %ss, %d attempts, %.3f s",
            request.campaign_id, request.page, len(page.items), request.query.endpoint.noun,
            request.attempts, seconds,
        )  # fmt: skip
        if self._on_event is None:
            return
        self._emit(
            PageFetched(
                campaign_id=request.campaign_id,
                page=request.page,
                contacts=len(page.items),
                total_pages=page.pagination.total_pages,
                total_items=page.pagination.total_items,
                attempts=request.attempts,
                seconds=seconds,
            )
        )

    def report_retry(self, request: PageRequest[Any], retry: Retry) -> None:
        """Report that a request is sent again, and count that."""
        request.stats.retries += 1
        logger.info(
            "campaign %d page %d attempt %d: %s; again in %.2f s",
            request.campaign_id, request.page, request.attempts, retry.reason, retry.delay,
        )  # fmt: skip
        self._emit(
            RetryScheduled(
                campaign_id=request.campaign_id,
                page=request.page,
                attempt=request.attempts,
                delay=retry.delay,
                reason=retry.reason,
            )
        )

    def report_pause(
        self,
        request: PageRequest[Any],
        pause: Pause,
        retry_after: float | None,
        *,
        of_all: float,
    ) -> None:
        """Report that a wait begins that the server causes.

        Args:
            request: the request that waits.
            pause: its wait.
            retry_after: seconds that the server asked for; None if it did not say.
            of_all: seconds that all requests of the client wait; 0 if this one waits alone.
        """
        seconds = of_all or pause.delay
        logger.info(
            "campaign %d page %d: %s, %s %.2f s",
            request.campaign_id, request.page, pause.reason,
            "all requests wait" if of_all else "this request waits", seconds,
        )  # fmt: skip
        self._emit(
            PauseStarted(
                campaign_id=request.campaign_id,
                page=request.page,
                seconds=seconds,
                retry_after=retry_after,
            )
        )

    def _emit(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # an error in the user's callback must not end the pull
            logger.exception("on_event failed for %s", type(event).__name__)
