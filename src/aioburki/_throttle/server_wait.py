"""Server wait: a wait of all requests of a client that is no answer to a 429 at that moment."""

from __future__ import annotations

import attrs


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
    def reason(self) -> str:
        """Return what is waited for, for a log line."""
        return self.limiter or ("the server's quota" if self.is_quota else "the server's limit")

    @property
    def refusal(self) -> str:
        """Return what the server has said, for an error: the wait is one that it asked for."""
        if self.limiter:
            return f"{self.limiter}, and is over in {self.seconds:,.0f} s"
        return (
            f"the server's quota is used up, by its headers, and is reset in {self.seconds:,.0f} s"
        )
