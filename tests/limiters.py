"""Models of servers that limit a rate, and many workers that send requests to one of them.

Times are seconds from the first request. `capacity` is how many requests the limit allows.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs

from aioburki import RateLimitError
from aioburki._requests.decisions import Pause
from aioburki._requests.failures import Failure
from aioburki._requests.retry_policy import RetryPolicy, RetryState
from aioburki._requests.send_queue import SendQueue
from aioburki._throttle.pacer import Pacer
from aioburki._throttle.server_quota import QuotaHeaders


class Limiter(Protocol):
    """A server that lets requests pass or refuses them."""

    def take(self, now: float) -> float | None:
        """Receive a request; return None if it passes, else the seconds until one may pass."""
        ...

    def capacity(self, seconds: float) -> float:
        """Return how many requests the limit allows in the first *seconds*, without a burst."""
        ...

    def quota(self, now: float) -> QuotaHeaders | None:
        """Return what the headers of an answer say, if any."""
        ...


@attrs.define
class Bucket:
    """A token bucket whose rate may change: *changes* are (from when, requests per second)."""

    rate: float
    burst: float
    changes: tuple[tuple[float, float], ...] = ()
    _tokens: float = attrs.field(init=False, default=attrs.Factory(lambda self: self.burst, True))
    _filled: float = 0.0

    def take(self, now: float) -> float | None:
        tokens = self._tokens + self.capacity(now) - self.capacity(self._filled)
        self._tokens, self._filled = min(self.burst, tokens), now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate(now)
        self._tokens -= 1
        return None

    def capacity(self, seconds: float) -> float:
        total, since, rate = 0.0, 0.0, self.rate
        for change, new_rate in self.changes:
            total += max(0.0, min(seconds, change) - since) * rate
            since, rate = change, new_rate
        return total + max(0.0, seconds - since) * rate

    def quota(self, now: float) -> QuotaHeaders | None:
        return None

    def _rate(self, now: float) -> float:
        return [rate for since, rate in ((0.0, self.rate), *self.changes) if since <= now][-1]


@attrs.define
class FixedWindow:
    """A fixed number of requests per quota period; the first period began before the first request.

    With *says* the answers have quota headers.
    """

    limit: int
    seconds: float
    says: bool = False
    phase: float = 0.3
    _number: int = -1
    _used: int = 0

    def take(self, now: float) -> float | None:
        self._enter(now)
        if self._used == self.limit:
            return self._rest(now)
        self._used += 1
        return None

    def capacity(self, seconds: float) -> float:
        return self.limit * math.ceil(seconds / self.seconds + self.phase)

    def quota(self, now: float) -> QuotaHeaders | None:
        if not self.says:
            return None
        self._enter(now)
        # Headers hold whole seconds, as does the Date they are read against.
        return QuotaHeaders(self.limit - self._used, math.ceil(self._rest(now)), self.limit)

    def _enter(self, now: float) -> None:
        number = math.floor(now / self.seconds + self.phase)
        if number != self._number:
            self._number, self._used = number, 0

    def _rest(self, now: float) -> float:
        return (self._number + 1 - self.phase) * self.seconds - now


@attrs.define
class SlidingLog:
    """At most *limit* requests in any *seconds*; 429s are counted too if *counts_all*."""

    limit: int
    seconds: float
    counts_all: bool = False
    _times: list[float] = attrs.field(factory=list)

    def take(self, now: float) -> float | None:
        self._times = [time for time in self._times if time > now - self.seconds]
        passes = len(self._times) < self.limit
        if passes or self.counts_all:
            self._times.append(now)
        return None if passes else self._times[-self.limit] + self.seconds - now

    def capacity(self, seconds: float) -> float:
        return self.limit * max(1.0, seconds / self.seconds)

    def quota(self, now: float) -> QuotaHeaders | None:
        return None


@attrs.define
class Connections:
    """At most *limit* requests in progress, each of which takes *seconds* at the server."""

    limit: int
    seconds: float
    _ends: list[float] = attrs.field(factory=list)

    def take(self, now: float) -> float | None:
        self._ends = [end for end in self._ends if end > now]
        if len(self._ends) == self.limit:
            return self._ends[0] - now
        self._ends.append(now + self.seconds)
        return None

    def capacity(self, seconds: float) -> float:
        return self.limit * seconds / self.seconds

    def quota(self, now: float) -> QuotaHeaders | None:
        return None


@attrs.define
class Result:
    """The outcomes of all requests of `crowd`."""

    passed: int = 0
    refused: int = 0
    most_refusals: int = 0  # of one page
    sent: list[float] = attrs.field(factory=list)
    passed_at: list[float] = attrs.field(factory=list)

    @property
    def refused_percent(self) -> float:
        return 100 * self.refused / max(1, self.passed + self.refused)


class Controller(Protocol):
    """What decides when requests are sent."""

    async def acquire(self) -> int: ...
    def record_success(self, sent: float, number: int, quota: QuotaHeaders | None) -> None: ...
    def record_refusal(self, sent: float, refusals: int, retry_after: float | None) -> float:
        """Return the seconds that the refused request waits before it is sent again."""
        ...


def draws() -> Callable[[], float]:
    """Return a source of random numbers that is the same in every run."""
    return random.Random(1).random


wait_for_quota = RetryPolicy(attempts=1, max_wait=120.0).wait_for_quota


@attrs.define
class Adaptive:
    """Use a send queue, a pacer and the retry policy as the fetcher does, without giving up."""

    draw: Callable[[], float] = attrs.field(factory=draws)
    pacer: Pacer = attrs.field(
        default=attrs.Factory(
            lambda self: Pacer(None, quota_wait=wait_for_quota, draw=self.draw), True
        )
    )
    policy: RetryPolicy = attrs.field(factory=lambda: RetryPolicy(attempts=1, max_wait=math.inf))
    queue: SendQueue = attrs.field(init=False)
    _in_flight: dict[asyncio.Task[Any] | None, int] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.queue = SendQueue(1000, max_in_flight=lambda: self.pacer.max_in_flight)

    async def acquire(self) -> int:
        await self.queue.acquire(None, 0)
        try:
            number = await self.pacer.acquire()
        except asyncio.CancelledError:
            self.queue.release()
            raise
        finally:
            self.queue.end_turn()
        self._in_flight[asyncio.current_task()] = self.pacer.in_flight
        return number

    def record_success(self, sent: float, number: int, quota: QuotaHeaders | None) -> None:
        self.queue.release()
        self.queue.record_success()
        self.pacer.release(sent)
        self.pacer.record_success(sent, self._in_flight.pop(asyncio.current_task()))
        self.pacer.reset_refusals()
        if quota is not None:
            self.queue.end_slow_start()
            self.pacer.record_quota(quota, number)

    def record_refusal(self, sent: float, refusals: int, retry_after: float | None) -> float:
        in_flight = self._in_flight.pop(asyncio.current_task())
        is_surplus = self.pacer.record_surplus(sent, in_flight)
        self.queue.release()
        self.queue.end_slow_start()
        self.pacer.release(sent)
        failure = Failure(RateLimitError("refused"), transient=True, retry_after=retry_after)
        state = RetryState(
            refusals=refusals, refusal=self.pacer.refusal(sent, is_surplus=is_surplus)
        )
        decision = self.policy.decide(failure, state, self.draw)
        assert isinstance(decision, Pause)
        if not is_surplus:
            self.pacer.record_refusal(sent, decision.pause_all)
        return decision.delay


RetryAfter = Callable[[float, float], float | None]
"""Maps the time and the wait until a request may pass to the wait that Retry-After asks for."""


def absent(_now: float, _wait: float) -> float | None:
    """Send no Retry-After."""
    return None


def in_seconds(_now: float, wait: float) -> float | None:
    """Send whole seconds, at least one."""
    return float(max(1, math.ceil(wait)))


def as_date(now: float, wait: float) -> float | None:
    """Send a date, in whole seconds as the Date header that it is read against."""
    return float(math.floor(now + max(1, math.ceil(wait))) - math.floor(now))


async def crowd(
    controller: Controller,
    limiter: Limiter,
    *,
    workers: int,
    latency: float,
    seconds: float,
    retry_after: RetryAfter = absent,
    refusal: float | None = None,
    seed: int = 0,
) -> Result:
    """Fetch pages for *seconds*, at most *workers* requests in flight; return the outcomes.

    *controller* decides when requests are sent. A page takes *latency* seconds there and back, or
    up to a tenth longer; a refusal *refusal* seconds, or as long as a page.
    """
    of_refusal = latency if refusal is None else refusal
    there = min(latency, of_refusal) / 2  # the server decides when the request arrives
    draw = random.Random(seed).random
    loop = asyncio.get_running_loop()
    loop.set_debug(False)  # debug mode would take most of the time
    start, result, slots = loop.time(), Result(), asyncio.Semaphore(workers)

    def take(seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds * (1 + draw() / 10))

    async def ask(refusals: int) -> float | None:
        """Return the seconds to wait after a 429, or None if the request passed."""
        async with slots:
            number = await controller.acquire()
            sent = loop.time()
            result.sent.append(sent - start)
            await take(there)
            now = loop.time() - start
            wait = limiter.take(now)
            quota = limiter.quota(now)
            await take((latency if wait is None else of_refusal) - there)
            if wait is None:
                controller.record_success(sent, number, quota)
                result.passed += 1
                result.passed_at.append(now)
                return None
            result.refused += 1
            result.most_refusals = max(result.most_refusals, refusals + 1)
            return controller.record_refusal(sent, refusals + 1, retry_after(now, wait))

    async def fetch_pages() -> None:
        while True:
            refusals = 0
            while (wait := await ask(refusals)) is not None:
                refusals += 1
                await asyncio.sleep(wait)

    # Twice as many pages as slots, so that a page that waits after a 429 leaves no slot unused.
    tasks = [asyncio.create_task(fetch_pages()) for _ in range(2 * workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    for ending in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(ending, asyncio.CancelledError), ending
    return result
