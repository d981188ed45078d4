"""Stats: counts of the requests of one pull, and what identifies the pull."""

from __future__ import annotations

from collections.abc import Callable

import attrs


@attrs.define(eq=False)
class RequestStats:
    """Counts of the requests of one pull.

    Attributes:
        requests: HTTP requests sent, retries included; not those that wait for a connection.
        retries: requests repeated after a transient failure.
        rate_limited: responses of HTTP 429.
        waited: seconds spent in back-off, pauses and pacing, summed over requests that waited
            at the same time.
        waiting: pages that wait now until they are requested again.
        page_seconds: time from the last request that succeeded to its page.
        on_wait: called when a page begins to wait, so that another may be requested meanwhile.
        pull_id: identifies the pull; None for requests that are part of no pull.
    """

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    waited: float = 0.0
    waiting: int = 0
    page_seconds: float = 0.0
    on_wait: Callable[[], None] = lambda: None
    pull_id: str | None = None
