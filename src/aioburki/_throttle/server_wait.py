"""Server wait: a wait that the server causes before a request is sent, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .server_quota import QuotaState


@attrs.frozen
class ServerWait:
    """A wait of all requests that the server causes without a 429 at that moment.

    Attributes:
        seconds: its length, from now.
        is_quota: whether the server's headers state the quota that is waited for; otherwise the
            wait is the interval between requests at the measured limit.
    """

    seconds: float
    is_quota: bool


@attrs.frozen
class WaitTerms:
    """How long one request waits for what the server allows; requests may differ in it.

    Attributes:
        max_wait: seconds, the longest interval between requests that 429s may lead to, from 1.
        quota_wait: returns how long to wait for what is left of the server's quota, in seconds.
    """

    max_wait: float
    quota_wait: Callable[[QuotaState], float]


def no_quota_wait(_state: QuotaState) -> float:
    """Return 0: no quota is waited for."""
    return 0.0
