"""Events: what a pull tells while it runs, for progress, logs and metrics.

``BurkiClient(on_event=…)`` gets each one at once, from within the event loop: it should
return quickly. Events hold numbers and names only, no contact and no key.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class PageFetched:
    """Tell that a page arrived and was decoded; pages may arrive out of order.

    Attributes:
        campaign_id: the campaign being read.
        page: number of the page, from 1.
        contacts: contacts on this page, before duplicates are taken out.
        total_pages: pages in the list, by this answer.
        total_items: contacts in the list, by this answer.
        attempts: requests this page took.
        seconds: from the first of them to the decoded page.
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
    """Tell that an attempt failed and the page will be asked for again.

    Attributes:
        campaign_id: the campaign being read.
        page: number of the page, from 1.
        attempt: number of the attempt that failed, from 1.
        delay: seconds until the next one.
        reason: what failed, such as ``"HTTP 503"``.
    """

    campaign_id: int
    page: int
    attempt: int
    delay: float
    reason: str


@attrs.frozen(kw_only=True)
class PauseStarted:
    """Tell that the server refused a request for its rate, which waits, or all of them do.

    Refusals of requests that were under way together are told once.

    Attributes:
        campaign_id: the campaign whose request was refused.
        page: number of the page that was refused, from 1.
        seconds: length of the wait from now on.
        retry_after: seconds the server asked for, or None if it named none.
    """

    campaign_id: int
    page: int
    seconds: float
    retry_after: float | None


Event = PageFetched | RetryScheduled | PauseStarted
