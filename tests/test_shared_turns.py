"""Clients with a limiter, on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from typing import Any

import attrs
import httpx
import pytest
from pages import KEY, page

from aioburki import (
    BurkiClient,
    ConfigurationError,
    Event,
    LimiterError,
    PauseStarted,
    RateLimitError,
)
from aioburki._throttle import Grant, Pacer, QuotaHeaders, ServerWait
from aioburki._throttle.shared_turns import SharedTurnsConfig

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

CONFIG = SharedTurnsConfig()


def now() -> float:
    return asyncio.get_running_loop().time()


@attrs.define
class Shared:
    """A limiter in process, which notes each call and can be made to fail."""

    interval: float = 0.1
    next: float = 0.0
    paused: float = 0.0
    is_lowered: bool = False
    failing: LimiterError | None = None
    failed: list[float] = attrs.field(factory=list)
    reserved: list[tuple[float, Grant | None]] = attrs.field(factory=list)
    refused: list[tuple[float | None, float]] = attrs.field(factory=list)
    passed: int = 0

    def _check(self) -> None:
        if self.failing is not None:
            self.failed.append(now())
            error = LimiterError(self.failing.message)
            error.transient = self.failing.transient
            raise error

    async def reserve(self, *, passed: int, earlier: Grant | None = None) -> Grant:
        self._check()
        self.passed += passed
        self.reserved.append((now(), earlier))
        if earlier is not None and earlier.moment >= self.paused:
            moment = earlier.moment
        else:
            moment = max(self.next, now(), self.paused)
            self.next = moment + self.interval
        wait = max(0.0, moment - now())
        is_paused = self.paused > now()
        return Grant(wait=wait, moment=moment, is_paused=is_paused, is_lowered=self.is_lowered)

    async def record_refusal(self, *, passed: int, age: float | None, pause: float) -> None:
        self._check()
        self.passed += passed
        self.refused.append((age, pause))
        self.paused = max(self.paused, now() + pause)


def outage(transient: bool = True) -> LimiterError:
    error = LimiterError("the limiter is gone")
    error.transient = transient
    return error


async def sent(pacer: Pacer) -> float:
    """Send a request that is answered at once, and return when it was sent."""
    await pacer.acquire()
    pacer.release()
    return now()


async def send(pacer: Pacer, workers: int, number: int) -> list[float]:
    """Send so many requests from each of so many workers, and return when, from now."""
    start = now()

    async def work() -> list[float]:
        return [await sent(pacer) - start for _ in range(number)]

    return sorted(itertools.chain(*await asyncio.gather(*(work() for _ in range(workers)))))


async def test_requests_are_sent_at_the_moments_that_are_reserved() -> None:
    """Each request takes one grant, and is sent at its moment."""
    shared = Shared()
    times = await send(Pacer(None, limiter=shared), 5, 4)
    assert times == pytest.approx([0.1 * number for number in range(20)])
    assert [earlier for _, earlier in shared.reserved] == [None] * 20


@pytest.mark.parametrize("rate", [5.0, 50.0])
async def test_both_rates_hold(rate: float) -> None:
    """With a rate of its own as well, a client keeps the lower one."""
    times = await send(Pacer(rate, limiter=Shared()), 4, 5)
    assert times[-1] == pytest.approx(19 * max(0.1, 1 / rate), rel=0.05)


async def test_only_the_head_of_the_queue_reserves() -> None:
    """A client holds one reservation, so that the others get their turns and few can be lost."""
    shared = Shared(interval=10.0)
    pulls = [asyncio.ensure_future(sent(Pacer(None, limiter=shared)))]
    pacer = Pacer(None, limiter=shared)
    pulls += [asyncio.ensure_future(sent(pacer)) for _ in range(10)]
    await asyncio.sleep(1)
    assert len(shared.reserved) == 2
    assert await asyncio.gather(*pulls)


async def test_a_cancelled_request_leaves_its_reservation() -> None:
    """The next request is sent at the moment that a cancelled one had reserved."""
    shared = Shared(interval=10.0)
    pacer = Pacer(None, limiter=shared)
    start = await sent(pacer)
    cancelled = asyncio.ensure_future(sent(pacer))
    await asyncio.sleep(1)
    cancelled.cancel()
    await asyncio.sleep(1)
    assert await sent(pacer) == pytest.approx(start + 10)
    assert shared.next == pytest.approx(start + 20)


async def test_an_old_reservation_is_not_used() -> None:
    """A reservation whose moment is long over is forgotten, so that none are saved up."""
    shared = Shared(interval=10.0)
    pacer = Pacer(None, limiter=shared)
    start = await sent(pacer)
    cancelled = asyncio.ensure_future(sent(pacer))
    await asyncio.sleep(1)
    cancelled.cancel()
    shared.next = start + 100
    await asyncio.sleep(20)
    assert await sent(pacer) == pytest.approx(start + 100)


async def test_a_long_wait_is_confirmed_at_its_end() -> None:
    """A pause that another process causes during a long wait is kept, with one further call."""
    shared = Shared(interval=10.0)
    pacer = Pacer(None, limiter=shared)
    start = await sent(pacer)
    waiting = asyncio.ensure_future(sent(pacer))
    await asyncio.sleep(1)
    shared.paused = start + 60
    assert await waiting == pytest.approx(start + 60)
    calls = [at - start for at, _ in shared.reserved]
    assert calls == pytest.approx([0, 0, 10, 60])


async def test_a_pause_of_the_client_ends_a_wait_for_a_turn() -> None:
    """A 429 during the wait for a turn delays it, and its reservation is used if it can be."""
    shared = Shared(interval=10.0)
    pacer = Pacer(None, limiter=shared, draw=lambda: 0.0)
    start = await sent(pacer)
    waiting = asyncio.ensure_future(sent(pacer))
    await asyncio.sleep(1)
    pacer.record_refusal(start, 4.0)
    assert await waiting == pytest.approx(start + 10)


async def test_a_quota_holds_beside_a_limiter() -> None:
    """Headers that leave nothing delay requests before a moment is reserved."""
    shared = Shared()
    pacer = Pacer(None, limiter=shared, quota_wait=lambda state: state.rest)
    start = now()
    pacer.record_quota(QuotaHeaders(remaining=0, reset=30.0), 1)
    assert await sent(pacer) >= start + 30
    assert shared.reserved[0][0] >= start + 30


async def test_the_limiter_alone_estimates_the_rate() -> None:
    """With a limiter no limit is measured by the client; 429s and successes are the limiter's."""
    shared = Shared(interval=0.0)
    pacer = Pacer(None, limiter=shared)
    for _ in range(20):
        at = await sent(pacer)
        pacer.record_success(at)
        await asyncio.sleep(0.01)
    pacer.record_refusal(at, 0.0)
    assert not pacer.is_limited
    shared.is_lowered = True
    start = await sent(pacer)
    assert start == now()
    assert shared.passed == 20
    ((age, pause),) = shared.refused
    assert age == pytest.approx(0.01)
    assert pause == 0
    assert pacer.is_limited


async def test_a_limit_of_requests_in_flight_stays_local() -> None:
    """Surplus requests are found as without a limiter, and no rate is searched for after them."""
    shared = Shared(interval=0.0)
    pacer = Pacer(None, limiter=shared)
    for _ in range(50):
        pacer.record_success(now(), 2)
    for _ in range(2):
        await asyncio.sleep(1)
        at = now()
        pacer.record_success(at - 0.1, 2)
        is_surplus = pacer.record_surplus(at, 4)
    assert is_surplus
    assert pacer.is_limited
    assert pacer.max_in_flight == 2
    for _ in range(5):
        pacer.record_surplus(now(), 1)
    assert not pacer.is_limited


async def test_only_long_pauses_are_shared() -> None:
    """A pause of a second concerns this client alone; what a 429 says once is sent once."""
    shared = Shared(interval=0.0)
    pacer = Pacer(None, limiter=shared, draw=lambda: 0.0)
    first = await sent(pacer)
    pacer.record_refusal(first, 1.0)
    pacer.record_refusal(first, 1.0)
    await pacer.send_refusal()
    await pacer.send_refusal()
    pacer.record_refusal(first, 5.0)
    await pacer.send_refusal()
    assert shared.refused == [(0.0, 0.0), (None, 5.0)]


async def test_a_client_without_a_limiter_has_nothing_to_send() -> None:
    """Without a limiter a 429 is kept where it was found."""
    pacer = Pacer(None)
    pacer.record_refusal(await sent(pacer), 0.0)
    await pacer.send_refusal()
    assert pacer.is_limited


async def test_a_429_is_kept_while_the_limiter_fails() -> None:
    """What 429s say is joined, and sent before the next reservation."""
    shared = Shared(interval=0.0)
    pacer = Pacer(None, limiter=shared, draw=lambda: 0.0)
    at = await sent(pacer)
    pacer.record_success(at)
    shared.failing = outage()
    pacer.record_refusal(at, 5.0)
    await pacer.send_refusal()
    pacer.record_refusal(at, 8.0)
    await pacer.send_refusal()
    shared.failing = None
    await sent(pacer)
    assert shared.passed == 1
    assert len(shared.refused) == 1
    assert shared.refused[0][0] == pytest.approx(8.0)  # its age, after the client's own pause


async def test_a_limiter_that_fails_is_asked_again() -> None:
    """The waits between grow, each is told, and the request is sent when the limiter is back."""
    shared = Shared(failing=outage())
    pacer = Pacer(None, limiter=shared, draw=lambda: 0.0)
    told: list[ServerWait] = []
    start = now()
    waiting = asyncio.ensure_future(pacer.acquire(told.append))
    await asyncio.sleep(20)
    assert not waiting.done()
    shared.failing = None
    await waiting
    assert [wait.seconds for wait in told[:7]] == pytest.approx(
        [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5]
    )
    assert {wait.limiter for wait in told} == {"the limiter is gone"}
    assert shared.failed[0] == start
    assert now() - start < 20 + CONFIG.max_back_off


class Server:
    """Answer page after page, or as *answer* says."""

    def __init__(self, answer: httpx.Response | None = None) -> None:
        self.answer, self.requests = answer, 0
        self.events: list[Event] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.answer is not None and self.requests == 1:
            return self.answer
        number = int(request.url.params["page"])
        return httpx.Response(200, json=page(number, 1, range(5)))

    def client(self, limiter: Any, **settings: Any) -> BurkiClient:
        return BurkiClient(
            KEY,
            transport=httpx.MockTransport(self),
            limiter=limiter,
            on_event=self.events.append,
            **settings,
        )

    @property
    def pauses(self) -> list[PauseStarted]:
        return [event for event in self.events if isinstance(event, PauseStarted)]


async def test_a_limiter_that_stays_away_ends_all_pulls() -> None:
    """After max_wait seconds all pulls fail at once; no request was sent, and it was told."""
    server, shared = Server(), Shared(failing=outage())
    async with server.client(shared, max_wait=30) as burki:
        start = now()
        pulls = [burki.contacts(number, per_page=1) for number in (1, 2, 3)]
        errors = await asyncio.gather(*(pull.to_list() for pull in pulls), return_exceptions=True)
        assert 20 < now() - start <= 30
    assert all(isinstance(error, LimiterError) for error in errors)
    assert [error.campaign_id for error in errors if isinstance(error, LimiterError)] == [1, 2, 3]
    assert str(errors[0]).startswith("the limiter is gone, for ")
    assert "Check the limiter's URL" in str(errors[0])
    assert server.requests == 0
    assert {pause.reason for pause in server.pauses} == {"limiter"}


async def test_a_view_waits_for_the_limiter_by_its_own_max_wait() -> None:
    """`with_options(max_wait=…)` bounds the time for which the limiter is asked again."""
    server, shared = Server(), Shared(failing=outage())
    async with server.client(shared, max_wait=300) as burki:
        start = now()
        with pytest.raises(LimiterError):
            await burki.with_options(max_wait=10).contacts(42)
        assert 5 < now() - start <= 10


async def test_waiting_that_cannot_help_is_not_begun() -> None:
    """An error that is not transient is raised at once, and so is any with max_wait=0."""
    for failing, max_wait in ((outage(transient=False), 120), (outage(), 0)):
        server, shared = Server(), Shared(failing=failing)
        async with server.client(shared, max_wait=max_wait) as burki:
            start = now()
            with pytest.raises(LimiterError) as caught:
                await burki.contacts(42)
            assert now() == start
        assert str(caught.value).startswith("the limiter is gone (campaign 42, page 1). Check")
        assert server.pauses == []


async def test_a_retry_after_is_sent_to_the_limiter_at_once() -> None:
    """A 429 that delays all requests reaches the limiter before the client waits."""
    refusal = httpx.Response(429, headers={"retry-after": "9"})
    server, shared = Server(refusal), Shared()
    async with server.client(shared) as burki:
        start = now()
        pull = asyncio.ensure_future(burki.contacts(42, per_page=1))
        await asyncio.sleep(0.5)
        assert shared.paused == pytest.approx(start + 9, abs=0.1)
        assert len(await pull) == 5


async def test_a_pause_of_another_process_is_told() -> None:
    """A wait because of another process's Retry-After is an event, as one of the server's."""
    server, shared = Server(), Shared()
    async with server.client(shared) as burki:
        shared.paused = now() + 50
        await burki.contacts(42, per_page=1)
    (event,) = [event for event in server.events if isinstance(event, PauseStarted)]
    assert (event.seconds, event.retry_after) == (50, 50)


async def test_a_long_queue_of_processes_is_told() -> None:
    """A wait of seconds for the turn at the shared limit is an event too."""
    server, shared = Server(), Shared(interval=3.0)
    async with server.client(shared) as burki:
        await burki.contacts(42, per_page=1)
    waits = [event for event in server.events if isinstance(event, PauseStarted)]
    assert [(event.seconds, event.retry_after) for event in waits] == [(3.0, None)] * 4


async def test_a_pause_beyond_max_wait_is_an_error() -> None:
    """A pause of another process that is longer than max_wait is not waited for."""
    server, shared = Server(), Shared()
    async with server.client(shared, max_wait=30) as burki:
        shared.paused = now() + 300
        with pytest.raises(RateLimitError, match="and is over in 300 s") as caught:
            await burki.contacts(42)
    assert caught.value.retry_after == pytest.approx(300)
    assert server.requests == 0


@pytest.mark.parametrize("limiter", [5, "redis://localhost", Shared, object()])
async def test_an_object_that_is_no_limiter_is_refused(limiter: Any) -> None:
    """A limiter has the methods of the protocol, and is no class."""
    with pytest.raises(ConfigurationError, match="limiter must be a limiter such as"):
        BurkiClient(KEY, limiter=limiter)


async def test_missing_redis_is_named() -> None:
    """Without the package the import says what to install."""
    code = "import sys; sys.modules['redis'] = None\nimport aioburki.redis"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "RedisLimiter needs redis: pip install 'aioburki[redis]'" in done.stderr
