"""Pace: when the next request may go. One per client, so that all its pulls share a limit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import anyio

from .._clock import loop_time
from .back_off import pause_without_advice
from .rate_estimator import RateEstimator
from .server_quota import QuotaHeaders, ServerQuota

# How late a request may come and still count as on schedule: late wake-ups then cost no
# throughput, and no second holds more than a tenth above `rate`. Idle time is not saved up.
# A limit of the server's that was found has less room: its bucket is kept nearly empty.
SLACK = 0.1
SLACK_AT_LIMIT = 0.02

# Below five requests a second nothing is caught up with: a late wake-up costs less than 2 %
# of such an interval, and one request more in ten seconds would be more.
MAX_CAUGHT_UP = 0.2

# So long after its time a request shows that nobody wanted to send, or that the loop stood still.
IDLE_INTERVALS = 2

# After a pause each request waits up to this much longer, so that they do not wake together.
SPREAD = 0.2

# A server that asks for microseconds is not to be asked a thousand times a second.
MIN_PAUSE = 0.1

# A Retry-After up to this is for the refused request alone, unless nothing passes after it:
# a second's pause at every refusal would leave a tenth of a small bucket's limit unused.
MAX_FOR_ONE = 1.0

# So long after a pause a refusal is a new story: nobody has been waiting all the time.
IDLE = 60.0

# What is known of the limit may change while the next request waits for its time.
LOOK_AGAIN = 0.05


class Pacer:
    """Let requests go at most *rate* per second, within what the server allows, outside pauses.

    What the server allows is found from its refusals (`Limit`) and headers (`Budget`), and
    stays known for the next pull. Holds numbers only: a wait that is cancelled leaves nothing
    behind, and what was learned stays when the client is used on another event loop. The
    clock is the running loop's.

    Args:
        rate: requests per second, or None for no bound of ours.
        longest_wait: seconds that a window of the server's may make us wait for its end.
        draw: random numbers in [0, 1), for what must not happen all at once.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        longest_wait: float = 120.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._rate = math.inf if rate is None else rate
        self._draw = draw
        self._limit = RateEstimator()
        self._budget = ServerQuota(longest_wait)
        self._last = -math.inf
        self._paused_until = -math.inf
        self._reacted = -math.inf
        self._refusals = 0
        self._refused_since: float | None = None
        self._in_flight = 0
        self._queue = anyio.Lock()

    async def wait(self) -> int:
        """Wait until a request may be sent; return its number.

        Every request that was waited for ends in `answered`.
        """
        while True:
            await self._sit_out_pause()
            if self._delay() <= 0 and not self._queue.locked():
                break
            # Only the head of the queue waits for its time: were times given out in advance,
            # a pause or another rate would act as late as the queue is long.
            async with self._queue:
                while not self.pause_left() and (delay := self._delay()) > 0:
                    await anyio.sleep(min(delay, max(LOOK_AGAIN, delay / 2)))
                if not self.pause_left():
                    break
        return self._send(loop_time())

    def answered(self) -> None:
        """Take in that a request is no longer under way, whatever became of it."""
        self._in_flight -= 1

    def passed(self, sent: float) -> None:
        """Take in that the server let a request pass that was sent at *sent*."""
        if self._refused_since is not None and self._refusals > 1:
            self._limit.reopened(sent, self._reacted - self._refused_since)
        self._limit.passed(loop_time(), sent)

    def learn(self, quota: QuotaHeaders, number: int) -> None:
        """Take in what the answer to request *number* says is left of the present window."""
        self._budget.learn(quota, loop_time(), number)

    def refuse(self, sent: float, retry_after: float | None) -> bool:
        """Take in a 429 to a request sent at *sent*; tell whether it is news.

        Refusals of requests that were under way when the last one came are none: fifty of
        one instant are one signal. All requests wait *retry_after* seconds if that is more
        than a second, or if nothing has passed since the last refusal; without it, that
        long a back-off that grows.
        """
        now = loop_time()
        if sent > max(self._paused_until, self._reacted) + IDLE:
            self.forget_refusals()
        is_again = self._refused_since is not None
        if self._refused_since is None:
            self._refused_since = now
        is_news = sent >= self._reacted
        if is_news:
            self._refusals += 1
            self._reacted = now
        if is_news and not is_again:
            if self._limit.rate(now) == math.inf:
                self._last = now + self._limit.round_trip  # let those under way come in first
            self._limit.refused(now, sent)
        is_confirmed = is_news and is_again
        if retry_after is None:
            wait = pause_without_advice(self._refusals - 1, self._draw()) if is_confirmed else 0.0
        else:
            is_for_all = is_confirmed or retry_after > MAX_FOR_ONE
            wait = max(retry_after, MIN_PAUSE) if is_for_all else 0.0
        self._pause(now, wait)
        return is_news

    def wait_of_refused(self, refusals: int, retry_after: float | None) -> float:
        """Return the seconds that a request waits after its *refusals*-th 429, from 1.

        Without *retry_after* not for long: the pages behind it cannot be delivered before it,
        and when it goes again is up to the rate.
        """
        if retry_after is None:
            return MIN_PAUSE * 2.0 ** min(refusals - 1, 7) * (1 + self._draw())
        return max(retry_after, MIN_PAUSE) + self._draw() * SPREAD

    def refused_for(self, wait: float) -> float:
        """Return the seconds of refusals alone, to the end of the pause and of *wait* from now."""
        if self._refused_since is None:
            return 0.0
        return max(self._paused_until, loop_time() + wait) - self._refused_since

    def pause_left(self) -> float:
        """Return the seconds that the present pause will last, or 0."""
        return max(0.0, self._paused_until - loop_time())

    def forget_refusals(self) -> None:
        """Take in that the server has let a request pass, or that nobody waits any more."""
        self._refused_since = None
        self._refusals = 0

    def _pause(self, now: float, seconds: float) -> None:
        if now + seconds > self._paused_until and seconds:
            self._limit.paused(now + seconds - max(now, self._paused_until))
            self._paused_until = now + seconds

    def _interval(self, now: float) -> float:
        return 1 / min(self._rate, self._limit.rate(now))

    def _delay(self) -> float:
        now = loop_time()
        return max(self._last + self._interval(now) - now, self._budget.delay(now, self._in_flight))

    def _send(self, now: float) -> int:
        interval = self._interval(now)
        due = self._last + interval
        idle = now - max(due, self._paused_until + SPREAD)
        if idle > max(SLACK, IDLE_INTERVALS * interval):
            self._limit.paused(idle)
        slack = SLACK if self._rate <= self._limit.rate(now) else SLACK_AT_LIMIT
        is_caught_up = interval <= MAX_CAUGHT_UP and due >= now - SLACK
        self._last = max(due, now - slack) if is_caught_up else now
        self._in_flight += 1
        return self._budget.take(now)

    async def _sit_out_pause(self) -> None:
        while (rest := self.pause_left()) > 0:
            await anyio.sleep(rest + self._draw() * SPREAD)
