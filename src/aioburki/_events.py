"""Events: what happens during a pull, for progress, logs and metrics.

``BurkiClient(on_event=…)`` is called with each event when it happens, on the event loop, so it
should return quickly. Events hold numbers and short texts, never the API key or contact data.

Every event has `pull_id`, which is unique over all processes, and `campaign_id`. `pull_id` is None
for the requests of `count`, `page` and `split`, which are no pulls.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Literal

import attrs

from ._errors import BurkiError, ConfigurationError
from ._report import PullReport

logger = logging.getLogger("aioburki")

RequestOutcome = Literal["ok", "retry", "rate_limited", "failed", "cancelled"]
"""What became of a request; `RequestFinished` says what each means."""

RetryReason = Literal["timeout", "connection", "busy", "server_error", "incomplete", "mismatch"]
"""Why a page is requested again; `RetryScheduled` says what each means."""

PauseReason = Literal["rate_limited", "quota", "measured_limit", "limiter", "outage"]
"""Why requests wait; `PauseStarted` says what each means."""

PullOutcome = Literal["done", "failed", "stopped"]
"""How a pull ended; `PullFinished` says what each means."""


@attrs.frozen(kw_only=True)
class PullStarted:
    """A pull begins: its first request is sent next, unless ``limit`` is 0.

    The function that gets this event runs in a `contextvars` context of the pull, a copy of the
    caller's. What it sets there, such as the current span of a tracer, holds for all requests of
    the pull, and not for the caller.

    Attributes:
        pull_id: identifies the pull.
        campaign_id: number of the campaign.
        status: the value of the status that was asked for; None for all.
        per_page: contacts in one request.
        limit: maximum number of contacts; None for all.
        is_complete: whether it is made with ``complete=True``.
        is_range: whether it reads a `ContactRange`, not a whole list.
    """

    pull_id: str | None = None
    campaign_id: int
    status: str | None
    per_page: int
    limit: int | None
    is_complete: bool
    is_range: bool


@attrs.frozen(kw_only=True)
class RequestFinished:
    """An HTTP request that was sent has ended; once for each, also of those that are cancelled.

    There are as many as `PullReport.requests`, and as many of the outcome ``"rate_limited"`` as
    `PullReport.rate_limited`. The attempt to open a connection is no request.

    Attributes:
        pull_id: identifies the pull; None for `count`, `page` and `split`.
        campaign_id: number of the campaign.
        page: number of the page, from 1.
        attempt: number of the attempt at this page, from 1.
        status_code: the HTTP status; None if there was no response.
        outcome: ``"ok"``, a page; ``"retry"``, a transient failure, after which the page is
            requested again; ``"rate_limited"``, HTTP 429; ``"failed"``, an error after which the
            page is not requested again; ``"cancelled"``, the pull ended before the response was
            complete.
        seconds: time from sending the request until its response was decoded, or until its end.
        waited: seconds that the page waited for this request since the attempt before: back-off,
            pauses and pacing. A wait that no request follows is in `PullReport.waited` alone.
    """

    pull_id: str | None = None
    campaign_id: int
    page: int
    attempt: int
    status_code: int | None
    outcome: RequestOutcome
    seconds: float
    waited: float


@attrs.frozen(kw_only=True)
class PageFetched:
    """A page was received and decoded; pages may be received out of order.

    Attributes:
        pull_id: identifies the pull.
        campaign_id: number of the campaign.
        page: number of the page, from 1.
        contacts: number of contacts on this page, duplicates included.
        total_pages: number of pages in the list, according to this response.
        total_items: number of contacts in the list, according to this response.
        attempts: number of requests sent for this page.
        seconds: time from the start of the first attempt, with its waits, to the decoded page.
    """

    pull_id: str | None = None
    campaign_id: int
    page: int
    contacts: int
    total_pages: int
    total_items: int
    attempts: int
    seconds: float


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """An attempt failed and the page will be requested again.

    Attributes:
        pull_id: identifies the pull; None for `count`, `page` and `split`.
        campaign_id: number of the campaign.
        page: number of the page, from 1.
        attempt: number of the attempt that failed, from 1.
        delay: seconds until the next attempt, without the wait for its turn under a rate limit.
        reason: ``"timeout"``, no complete response in time; ``"connection"``, no connection, or it
            broke; ``"busy"``, HTTP 503; ``"server_error"``, another transient status, such as 502;
            ``"incomplete"``, a body that is no complete JSON; ``"mismatch"``, another page came.
        detail: what failed, with the words of the server, such as ``"HTTP 503: overloaded"``, at
            most some 600 characters; API key and phone numbers are masked.
    """

    pull_id: str | None = None
    campaign_id: int
    page: int
    attempt: int
    delay: float
    reason: RetryReason
    detail: str = ""


@attrs.frozen(kw_only=True)
class PauseStarted:
    """A wait begins that the server causes; one request waits, or all requests of the client do.

    The server answered 429; or its rate limit headers leave no request in the present quota period,
    or so few that the rest are spread over it; or the limit that was measured from its 429s allows
    less than a request per second; or it is down; or a shared limiter makes requests wait. Several
    429s for requests that were in flight together make one event. A pull that begins in a wait of
    all requests has an event of its own.
    No wait is longer than `max_wait` seconds.

    Attributes:
        pull_id: identifies the pull whose request was refused, or waits; None for `count`, `page`
            and `split`.
        campaign_id: number of the campaign whose request was refused, or waits.
        page: number of the page that was refused, or waits, from 1.
        seconds: length of the wait, from now.
        retry_after: seconds that the server asked for, or None if it did not say.
        reason: ``"rate_limited"``, HTTP 429, with a shared limiter also one that another process
            got; ``"quota"``, what the rate limit headers leave;
            ``"measured_limit"``, the interval between requests at the limit that was measured;
            ``"limiter"``, a limiter that is shared with other processes cannot be reached, or
            the turn of this process comes in more than a second;
            ``"outage"``, a pull begins while the server is down.
        detail: the words of the server, such as ``"HTTP 429: slow down"``, masked like those of
            `RetryScheduled`; empty if there are none.
    """

    pull_id: str | None = None
    campaign_id: int
    page: int
    seconds: float
    retry_after: float | None
    reason: PauseReason = "rate_limited"
    detail: str = ""


def error_text(error: Exception) -> str:
    """Return what *error* says; its class alone if it is not of this package."""
    return str(error) if isinstance(error, BurkiError) else type(error).__name__


def _shown(error: Exception | None) -> str:
    return repr(error) if error is None or isinstance(error, BurkiError) else error_text(error)


@attrs.frozen(kw_only=True)
class PullFinished:
    """A pull has ended, and with it all its requests; once for each `PullStarted`.

    Attributes:
        pull_id: identifies the pull.
        campaign_id: number of the campaign.
        outcome: ``"done"``, everything was delivered, up to ``limit``; ``"failed"``, an error was
            raised; ``"stopped"``, the caller ended it: by ``break``, an exception of its own, a
            cancellation or a deadline.
        report: the report of the pull.
        error: what the pull raised; None if it raised nothing of its own. Of an exception of your
            transport or client `repr` and log records show the class alone.
    """

    pull_id: str | None = None
    campaign_id: int
    outcome: PullOutcome
    report: PullReport
    error: Exception | None = attrs.field(repr=_shown)


Event = PullStarted | RequestFinished | PageFetched | RetryScheduled | PauseStarted | PullFinished


def _is_async(on_event: object) -> bool:
    """Return whether calling *on_event* can be seen to return something to be awaited."""
    while isinstance(on_event, functools.partial):
        on_event = on_event.func
    calls = (on_event, getattr(type(on_event), "__call__", None))  # noqa: B004 - the method itself
    return any(
        inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) for call in calls
    )


class EventHandler:
    """Call a user's ``on_event``, and discard an awaitable that it returns.

    Args:
        on_event: the user's function.
    """

    def __init__(self, on_event: Callable[[Event], object]) -> None:
        self._on_event = on_event
        self._is_reported = False

    def __call__(self, event: Event) -> None:
        """Call ``on_event``; log an error the first time that it returns something to be awaited.

        Raises:
            Exception: what ``on_event`` raises.
        """
        result = self._on_event(event)
        if not (inspect.isawaitable(result) or inspect.isasyncgen(result)):
            return
        if not self._is_reported:
            self._is_reported = True
            logger.error(
                "on_event returned an awaitable, which is not awaited: it must be a plain function"
            )
        # A coroutine that is not closed would warn that it was never awaited; a task would run on.
        end = getattr(result, "close", None) or getattr(result, "cancel", None)
        if end is not None:
            end()


def event_handler(on_event: Callable[[Event], object] | None) -> EventHandler | None:
    """Return the handler for a user's ``on_event``, or None if there is none.

    Raises:
        ConfigurationError: *on_event* is not callable, or asynchronous.
    """
    if on_event is None:
        return None
    if not callable(on_event):
        raise ConfigurationError(f"on_event must be callable, not {type(on_event).__name__}")
    if _is_async(on_event):
        raise ConfigurationError("on_event must be a plain function: it is called, not awaited")
    return EventHandler(on_event)
