"""Events: what happens during a pull, for progress, logs and metrics.

``BurkiClient(on_event=…)`` is called with each event when it happens, on the event loop, so it
should return quickly. Events hold numbers and short texts, never the API key or contact data.
"""

from __future__ import annotations

import attrs


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
    """The server answered 429; the refused request waits, or all requests of the client do.

    Several 429s for requests that were in flight together make one event.

    Attributes:
        campaign_id: number of the campaign whose request was refused.
        page: number of the page that was refused, from 1.
        seconds: length of the wait, from now.
        retry_after: seconds that the server asked for, or None if it did not say.
    """

    campaign_id: int
    page: int
    seconds: float
    retry_after: float | None


Event = PageFetched | RetryScheduled | PauseStarted
