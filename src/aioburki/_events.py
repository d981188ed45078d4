"""Events: what happens during a pull, for progress, logs and metrics.

``BurkiClient(on_event=…)`` is called with each event when it happens, on the event loop, so it
should return quickly. Events hold numbers and short texts, never the API key or contact data.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable

import attrs

from ._errors import ConfigurationError

logger = logging.getLogger("aioburki")


@attrs.frozen(kw_only=True)
class PageFetched:
    """A page was received and decoded; pages may be received out of order.

    Attributes:
        campaign_id: number of the campaign.
        page: number of the page, from 1.
        contacts: number of contacts on this page, duplicates included.
        total_pages: number of pages in the list, according to this response.
        total_items: number of contacts in the list, according to this response.
        attempts: number of requests sent for this page.
        seconds: time from the start of the first attempt, with its waits, to the decoded page.
    """

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
        campaign_id: number of the campaign.
        page: number of the page, from 1.
        attempt: number of the attempt that failed, from 1.
        delay: seconds until the next attempt, without the wait for its turn under a rate limit.
        reason: what failed, such as ``"HTTP 503"``.
    """

    campaign_id: int
    page: int
    attempt: int
    delay: float
    reason: str


@attrs.frozen(kw_only=True)
class PauseStarted:
    """A wait begins that the server causes; one request waits, or all requests of the client do.

    It answered 429; or its rate limit headers leave no request in the present quota period, or so
    few that the rest are spread over it; or the limit that was measured from its 429s allows less
    than a request per second. Several 429s for requests that were in flight together make one
    event. No wait is longer than `max_wait` seconds.

    Attributes:
        campaign_id: number of the campaign whose request was refused, or waits.
        page: number of the page that was refused, or waits, from 1.
        seconds: length of the wait, from now.
        retry_after: seconds that the server asked for, or None if it did not say.
    """

    campaign_id: int
    page: int
    seconds: float
    retry_after: float | None


Event = PageFetched | RetryScheduled | PauseStarted


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
