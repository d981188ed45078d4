"""Report: what a pull did, and what changed in the list meanwhile."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class PullReport:
    """What a pull did, and whether the list was seen to change while it was read.

    Attributes:
        contacts: contacts on the pages delivered so far, each id once.
        pages: pages delivered so far.
        requests: HTTP requests sent, retries included.
        retries: requests repeated after a transient failure.
        rate_limited: responses of HTTP 429.
        duplicates: contacts left out because their id had been delivered already.
        elapsed: seconds from the first request until now, or until the end.
        waited: seconds spent in back-off, pauses and pacing, summed over requests that
            waited at the same time; it may exceed `elapsed`.
        drift: the changes of the list that were seen, one sentence each.
        consistent: whether `drift` is empty. True is no proof: a removal plus an addition
            between two pages leaves the counts unchanged.
    """

    contacts: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    duplicates: int = 0
    elapsed: float = 0.0
    waited: float = 0.0
    drift: tuple[str, ...] = ()
    consistent: bool = attrs.field(
        init=False, default=attrs.Factory(lambda report: not report.drift, takes_self=True)
    )
