"""Server wait: a wait of all requests before one is sent, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .server_quota import QuotaState


@attrs.frozen
class ServerWait:
    """A wait of all requests that begins without a 429 at that moment.

    Attributes:
        seconds: its length, from now.
        is_quota: whether the server asked for it: by headers that state a quota, or by a
            Retry-After to another process. Otherwise the wait is the interval between requests at
            the measured limit, or one for the limiter.
        limiter: what the shared limiter waits for; empty if the wait is not the limiter's.
    """

    seconds: float
    is_quota: bool
    limiter: str = ""

    @property
    def refusal(self) -> str:
        """Return what the server has said, for an error: the wait is one that it asked for."""
        if self.limiter:
            return f"{self.limiter}, and is over in {self.seconds:,.0f} s"
        return (
            f"the server's quota is used up, by its headers, and is reset in {self.seconds:,.0f} s"
        )


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
