"""Refusals: what a 429 means, given the 429s before it."""

from __future__ import annotations

import math

import attrs


@attrs.frozen(kw_only=True)
class Refusal:
    """What a 429 means, given the 429s before it.

    Attributes:
        is_new: whether its request was sent after the last new 429 came. Requests in flight
            together are refused together: fifty 429s of one instant are one signal.
        is_repeated: whether no request has passed since the last 429.
        number: new 429s since a request passed, this one included.
        seconds: seconds since the first of them, 0 if this is the first.
        pause_left: seconds that all requests are paused already.
        is_surplus: whether more requests were in flight than the server allows.
    """

    is_new: bool
    is_repeated: bool
    number: int
    seconds: float
    pause_left: float
    is_surplus: bool = False


class RefusalRow:
    """Count the 429s since a request has passed. Pure: every method gets the time.

    Args:
        max_gap: seconds after a pause from which on a 429 begins a new row.

    Attributes:
        last: when the last new 429 came, minus infinity before the first.
    """

    def __init__(self, max_gap: float) -> None:
        self.last = -math.inf
        self._max_gap = max_gap
        self._number = 0
        self._since: float | None = None

    @property
    def shut(self) -> float | None:
        """Return the seconds from the first to the last 429 of a row of several, or None."""
        return None if self._since is None or self._number <= 1 else self.last - self._since

    def refusal(self, now: float, sent: float, paused_until: float, *, is_surplus: bool) -> Refusal:
        """Return what a 429 to a request sent at *sent* means; record nothing."""
        is_new_row = sent > max(paused_until, self.last) + self._max_gap
        since = None if is_surplus or is_new_row else self._since
        is_new = sent >= self.last or is_surplus
        return Refusal(
            is_new=is_new,
            is_repeated=since is not None,
            number=(0 if since is None else self._number) + is_new,
            seconds=0.0 if since is None else now - since,
            pause_left=max(0.0, paused_until - now),
            is_surplus=is_surplus,
        )

    def record(self, now: float, refusal: Refusal) -> None:
        """Record *refusal*, which came at *now*."""
        if not refusal.is_repeated:
            self._since = now
        self._number = refusal.number
        if refusal.is_new:
            self.last = now

    def end(self) -> None:
        """End the row: a page has come, or the pull was given up."""
        self._since = None
        self._number = 0
