"""Time left: how long a pull will still take, by the rate at which contacts really come."""

from __future__ import annotations

import math
from collections import deque

# Seconds between two samples; what comes sooner replaces the last one.
MIN_INTERVAL = 0.2


class TimeLeft:
    """Estimate the time that is left of a pull.

    By the rate over the later half of the time in which contacts came: long enough to contain the
    pauses of a rate limit, short enough to follow a limit that was found, or that moved. A pause
    that goes on now is added. If nothing comes for longer than usual without a pause, because the
    server is down or hangs, the rate falls. No time passes by itself: each call says when it is.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()  # times, and contacts so far
        self._begin = 0.0
        self._paused_until = -math.inf

    def record(self, now: float, count: int) -> None:
        """Record that *count* contacts have come until *now*, in seconds."""
        samples = self._samples
        if not samples:
            self._begin = now
        if len(samples) > 1 and now - samples[-2][0] < MIN_INTERVAL:
            samples.pop()
        samples.append((now, count))
        while len(samples) > 2 and samples[1][0] <= (self._begin + now) / 2:
            samples.popleft()

    def record_pause(self, now: float, seconds: float) -> None:
        """Record that nothing is requested for the *seconds* from *now*, unless they are 0."""
        if seconds > 0:
            self._paused_until = max(self._paused_until, now + seconds)

    def seconds(self, now: float, left: int) -> float | None:
        """Return the seconds until *left* more contacts have come, or None if it is not known."""
        if not self._samples:
            return None
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        if last <= first or end <= start:
            return None
        usual = (end - start) / (len(self._samples) - 1)
        # How long the first pages after a pause take says nothing of the rate.
        late = 0.0 if self._paused_until > end else max(0.0, now - end - usual)
        spent = end - start + late
        return left * spent / (last - first) + max(0.0, self._paused_until - now)
