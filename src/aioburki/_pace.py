"""Pace: when the next request may go. One per client, so that all its pulls share a limit."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio

from ._retry import pause_without_advice

# How late a request may come and still count as on schedule: late wake-ups then cost no
# throughput, and no second holds more than a tenth above `rate`. Idle time is not saved up.
SLACK = 0.1

# Below five requests a second nothing is caught up with: a late wake-up costs less than 2 %
# of such an interval, and one request more in ten seconds would be more.
LONGEST_CAUGHT_UP = 0.2

# After a pause each request waits up to this much longer, so that they do not wake together.
SPREAD = 0.2

# A server that asks for microseconds is not to be asked a thousand times a second.
SHORTEST_PAUSE = 0.1

# So long after a pause a refusal is a new story: nobody has been waiting all the time.
IDLE = 60.0


class Pacer:
    """Let requests go at most *rate* per second, and none during a pause.

    Holds numbers only: a wait that is cancelled leaves nothing behind, and what was learned
    stays when the client is used on another event loop. The clock is the running loop's.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._interval = 0.0 if rate is None else 1 / rate
        self._slack = SLACK if self._interval <= LONGEST_CAUGHT_UP else 0.0
        self._draw = draw
        self._due = -float("inf")
        self._paused_until = -float("inf")
        self._refusals = 0
        self._refused_since: float | None = None
        self._queue = anyio.Lock()

    async def wait(self) -> float:
        """Wait until a request may be sent; return the seconds that took."""
        asked = anyio.current_time()
        while True:
            await self._sit_out_pause()
            if not self._interval:
                break
            # Only the head of the queue waits for its time: were times given out in advance,
            # a pause would act as late as the queue is long.
            async with self._queue:
                while not self.pause_left() and (delay := self._due - anyio.current_time()) > 0:
                    await anyio.sleep(delay)
                if not self.pause_left():
                    now = anyio.current_time()
                    on_schedule = self._slack > 0 and self._due >= now - self._slack
                    self._due = (self._due if on_schedule else now) + self._interval
                    break
        return anyio.current_time() - asked

    def refuse(self, sent: float, retry_after: float | None) -> bool:
        """Take in a 429 to a request sent at *sent*; tell whether it began a pause.

        All requests then wait *retry_after* seconds, or a back-off that grows. Refusals of
        requests that were under way when a pause began are no news: fifty of one instant
        make one pause.
        """
        now = anyio.current_time()
        if sent > self._paused_until + self._interval + IDLE:
            self.forget_refusals()
        if self._refused_since is None:
            self._refused_since = now
        if is_news := sent >= self._paused_until:
            self._refusals += 1
        elif retry_after is None:
            return False
        if retry_after is None:
            wait = pause_without_advice(self._refusals, self._draw())
        else:
            wait = max(retry_after, SHORTEST_PAUSE)
        self._paused_until = max(self._paused_until, now + wait)
        return is_news

    def refused_for(self) -> float:
        """Return the seconds from the first refusal that no success followed to the pause's end."""
        if self._refused_since is None:
            return 0.0
        return max(self._paused_until, anyio.current_time()) - self._refused_since

    def pause_left(self) -> float:
        """Return the seconds that the present pause will last, or 0."""
        return max(0.0, self._paused_until - anyio.current_time())

    def forget_refusals(self) -> None:
        """Take in that the server has let a request pass, or that nobody waits any more."""
        self._refused_since = None
        self._refusals = 0

    async def _sit_out_pause(self) -> None:
        while (rest := self.pause_left()) > 0:
            await anyio.sleep(rest + self._draw() * SPREAD)
