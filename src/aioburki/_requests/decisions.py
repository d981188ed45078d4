"""Decisions: what may follow a failed attempt."""

from __future__ import annotations

import attrs

from .._errors import BurkiError
from .._events import PauseReason, RetryReason


@attrs.frozen(kw_only=True)
class Retry:
    """Send the request again after *delay* seconds; *reason* and *detail* say what failed."""

    delay: float
    reason: RetryReason
    detail: str


@attrs.frozen(kw_only=True)
class Pause:
    """Send the refused request again after *delay* seconds, which is no further attempt.

    Attributes:
        delay: seconds that the refused request waits.
        pause_all: seconds that all requests of the client wait; 0: only the refused one.
        is_new: whether to report it. Requests refused in the same instant are reported once.
        reason: what it waits for.
    """

    delay: float
    pause_all: float
    is_new: bool
    reason: PauseReason = "rate_limited"


@attrs.frozen(kw_only=True)
class GiveUp:
    """Raise *error*.

    Attributes:
        error: what to raise.
        explanation: what to add to its message, or None.
        is_unavailable: whether the server was down or refused all requests for too long. All
            requests that wait for it are given up too, and the next pull starts without a failure.
        pause_all: seconds that all requests of the client wait all the same, after a 429.
    """

    error: BurkiError
    explanation: str | None = None
    is_unavailable: bool = False
    pause_all: float = 0.0


Decision = Retry | Pause | GiveUp
