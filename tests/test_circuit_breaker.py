"""The circuit breaker: few requests while the server is down, all of them after it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from pages import KEY, page

from aioburki import (
    BurkiClient,
    BurkiError,
    ConnectionFailedError,
    RateLimitError,
    RequestTimeoutError,
    RetryScheduled,
    ServerError,
    TransportError,
)
from aioburki._throttle.circuit_breaker import Circuit, CircuitBreaker, CircuitBreakerConfig

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.virtual_clock]

PAGES = 2000
LATENCY = 0.1


def now() -> float:
    return asyncio.get_running_loop().time()


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def break_off(_: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


def unavailable(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503, html="<h1>down</h1>")


class Server:
    """Serve pages of one contact, except from *down* to *up*, in seconds."""

    def __init__(
        self, down: float, up: float, fail: Callable[[httpx.Request], httpx.Response]
    ) -> None:
        asyncio.get_running_loop().set_debug(False)  # it takes most of the time of 2,000 pages
        self.start = now()
        self.down, self.up, self.fail = down, up, fail
        self.times: list[float] = []
        self.answered: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = now() - self.start
        self.times.append(asked)
        await asyncio.sleep(LATENCY)
        if self.down <= asked < self.up:
            return self.fail(request)
        self.answered.append(now() - self.start)
        return httpx.Response(200, json=page(int(request.url.params["page"]), 1, range(PAGES)))

    def asked_between(self, since: float, until: float) -> int:
        return sum(since <= time < until for time in self.times)


@pytest.mark.no_cover
@pytest.mark.parametrize("fail", [refuse, break_off, unavailable])
@pytest.mark.parametrize("concurrency", [1, 8, 50])
async def test_outage_of_a_minute_costs_a_minute(
    fail: Callable[[httpx.Request], httpx.Response], concurrency: int
) -> None:
    """After 60 s all contacts come once; at most 12 trial requests; full speed within 10 s."""
    server = Server(1, 61, fail)
    async with BurkiClient(
        KEY, concurrency=concurrency, transport=httpx.MockTransport(server)
    ) as burki:
        contacts = await burki.contacts(42, per_page=1)
    assert [contact.id for contact in contacts] == list(range(PAGES))
    in_flight = concurrency + 2  # at the start of the outage, and those that opened the circuit
    assert server.asked_between(1, 61) <= in_flight + 12
    back = min(time for time in server.answered if time > 61)
    assert back <= 71
    assert server.asked_between(back, back + 1) >= 0.8 * concurrency / LATENCY
    assert contacts.report.requests == len(server.times)


@pytest.mark.parametrize(
    ("fail", "kind"), [(refuse, ConnectionFailedError), (unavailable, ServerError)]
)
async def test_lasting_outage_is_given_up(
    fail: Callable[[httpx.Request], httpx.Response], kind: type[TransportError | ServerError]
) -> None:
    """After more than a minute the pull raises the reason; retries stay below 20 %."""
    server = Server(1, 1e9, fail)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(kind, match=r"the server is down: \d+ requests failed in \d+ s") as got:
            await burki.contacts(42, per_page=1)
    assert got.value.attempts is not None
    assert got.value.attempts <= 6
    assert 61 <= now() - server.start <= 100
    after = len(server.times) - server.asked_between(0, 1)
    assert after - 8 <= 0.2 * len(server.times)


async def test_pull_after_an_outage_starts_with_a_closed_circuit() -> None:
    """Giving up closes the circuit: the next pull succeeds, or fails by its own count."""
    server = Server(1, 1e9, refuse)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(ConnectionFailedError):
            await burki.contacts(42, per_page=1)
        server.up = 0
        start = now()
        assert len(await burki.contacts(42, per_page=1)) == PAGES
        assert now() - start <= PAGES * LATENCY / 8 + 1


def refuse_for_rate(_: httpx.Request) -> httpx.Response:
    return httpx.Response(429)


async def end_of_pull(burki: BurkiClient, delay: float = 0.0) -> tuple[float, BurkiError]:
    """Return when a pull that is begun after *delay* seconds fails, and how."""
    await asyncio.sleep(delay)
    with pytest.raises(BurkiError) as caught:
        await burki.contacts(42, per_page=1)
    return now(), caught.value


@pytest.mark.parametrize("interval", [0.0, 0.1])
@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        (refuse, ConnectionFailedError),
        (unavailable, ServerError),
        (refuse_for_rate, RateLimitError),
    ],
)
async def test_all_pulls_fail_with_the_outage_that_is_given_up(
    fail: Callable[[httpx.Request], httpx.Response], kind: type[BurkiError], interval: float
) -> None:
    """Twenty pulls fail in the same moment, those too that wait for their first request."""
    server = Server(0, 1e9, fail)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        ends = await asyncio.gather(*[end_of_pull(burki, each * interval) for each in range(20)])
    times, errors = zip(*ends, strict=True)
    assert max(times) - min(times) <= LATENCY
    assert max(times) - server.start <= 121
    assert len(server.times) <= 20 + 12
    assert {type(error) for error in errors} == {kind}
    assert len({id(error) for error in errors}) == 20
    assert all(error.__cause__ is error.__context__ is None for error in errors)
    assert sum(error.attempts or 0 for error in errors) == len(server.times)


async def test_request_in_flight_when_the_outage_is_given_up_is_the_last() -> None:
    """A page that fails after the outage was given up is not requested again."""
    sent: list[int] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        campaign = int(request.url.path.split("/")[-2])
        sent.append(campaign)
        await asyncio.sleep(200 if campaign == 43 else LATENCY)
        raise httpx.ConnectError("refused")

    async with BurkiClient(KEY, timeout=300, transport=httpx.MockTransport(answer)) as burki:
        slow = asyncio.ensure_future(collect(burki, 43))
        await asyncio.sleep(0)
        await asyncio.gather(*[end_of_pull(burki) for _ in range(4)])
        with pytest.raises(ConnectionFailedError, match="the server is down"):
            await slow
    assert sent.count(43) == 1


async def test_429s_of_one_page_do_not_end_the_other_pulls() -> None:
    """A page that is given up after one 429, while others pass, is given up alone."""

    async def answer(request: httpx.Request) -> httpx.Response:
        campaign = int(request.url.path.split("/")[-2])
        await asyncio.sleep(LATENCY)
        if campaign == 43:
            return httpx.Response(429)
        number = int(request.url.params["page"])
        return httpx.Response(200, json=page(number, 1, range(20)))

    transport = httpx.MockTransport(answer)
    async with BurkiClient(KEY, concurrency=1, max_wait=0, transport=transport) as burki:
        other = asyncio.ensure_future(collect(burki))
        await asyncio.sleep(5 * LATENCY)
        with pytest.raises(RateLimitError):
            await burki.contacts(43)
        assert await other == 20


async def test_one_failing_page_does_not_open_the_circuit() -> None:
    """A page that always fails uses up its own attempts while others are fetched."""
    asked: list[int] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        asked.append(number)
        await asyncio.sleep(LATENCY)
        if number == 7:
            return httpx.Response(500)
        return httpx.Response(200, json=page(number, 1, range(PAGES)))

    async with BurkiClient(KEY, attempts=3, transport=httpx.MockTransport(answer)) as burki:
        with pytest.raises(ServerError) as caught:
            await burki.contacts(42, per_page=1)
    assert caught.value.page == 7
    assert asked.count(7) == caught.value.attempts == 3
    assert len(asked) >= 20


async def test_first_page_alone_has_its_attempts() -> None:
    """A server that is down from the start is given up after `attempts`."""
    server = Server(0, 1e9, refuse)
    async with BurkiClient(KEY, attempts=4, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(ConnectionFailedError) as caught:
            await burki.contacts(42)
    assert len(server.times) == caught.value.attempts == 4
    assert now() - server.start <= 5


async def test_retry_event_has_the_delay_of_the_trial_request() -> None:
    """The delay of a retry during an outage is that of the trial request, not a back-off."""
    server = Server(1, 61, refuse)
    delays: list[float] = []

    def listen(event: object) -> None:
        if isinstance(event, RetryScheduled):
            delays.append(event.delay)

    async with BurkiClient(KEY, transport=httpx.MockTransport(server), on_event=listen) as burki:
        await burki.contacts(42, per_page=1)
    assert 8 <= max(delays) <= 9


async def test_retry_after_delays_the_trial_request() -> None:
    """A server that names the end of its maintenance gets no request before."""

    def maintenance(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503, headers={"retry-after": "30"})

    server = Server(1, 61, maintenance)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        assert len(await burki.contacts(42, per_page=1)) == PAGES
    assert server.asked_between(2, 61) <= 2


async def test_cancelled_trial_request_makes_room_for_the_next() -> None:
    """A pull that is cancelled with its trial request in flight does not block the others."""
    server = Server(1, 20, refuse)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        pulls = [asyncio.ensure_future(collect(burki)) for _ in range(2)]
        await asyncio.sleep(15)
        pulls[0].cancel()
        assert await pulls[1] == PAGES
        assert now() - server.start <= 60


async def collect(burki: BurkiClient, campaign: int = 42) -> int:
    return len(await burki.contacts(campaign, per_page=1))


async def test_timeouts_open_the_circuit() -> None:
    """A server that never answers gets one trial request at a time, and is given up."""

    async def swallow(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number > 1:
            await asyncio.sleep(1000)
        return httpx.Response(200, json=page(number, 1, range(PAGES)))

    start = now()
    async with BurkiClient(
        KEY, timeout=5, attempts=3, transport=httpx.MockTransport(swallow)
    ) as burki:
        with pytest.raises(RequestTimeoutError):
            await burki.contacts(42, per_page=1)
    assert now() - start <= 90


def record_failure(breaker: CircuitBreaker, page: object, *, is_trial: bool = False) -> None:
    breaker.record_failure(breaker.after_failure(page, is_trial=is_trial, retry_after=0.0))


async def test_trial_requests_are_sent_one_at_a_time() -> None:
    """While a trial request is in flight no other request is let through, and after it one."""
    breaker = CircuitBreaker(draw=lambda: 0.0)
    first, second = object(), object()
    for page_ in (first, second, second):
        record_failure(breaker, page_)
    assert await breaker.acquire()
    waiting = [asyncio.create_task(breaker.acquire()) for _ in range(5)]
    await asyncio.sleep(60)
    assert not any(task.done() for task in waiting)
    breaker.release()
    record_failure(breaker, first, is_trial=True)
    await asyncio.sleep(1)
    assert sum(task.done() for task in waiting) == 1
    breaker.release()
    breaker.record_answer()
    assert sorted(await asyncio.gather(*waiting)) == [False] * 4 + [True]


def after(circuit: Circuit, page: object, now: float, *, is_trial: bool = False) -> Circuit:
    return circuit.after_failure(
        page,
        now=now,
        is_trial=is_trial,
        retry_after=0.0,
        fraction=0.0,
        config=CircuitBreakerConfig(),
    )


async def test_circuit_opens_at_the_third_failure_of_more_than_one_page() -> None:
    """Three failures of one page keep the circuit closed; another page's opens it."""
    circuit, first, second = Circuit(), object(), object()
    for number in range(1, 4):
        circuit = after(circuit, first, float(number))
        assert circuit == Circuit(failures=number, first_page=first, since=1.0)
    opened = after(circuit, second, 4.0)
    assert (opened.failures, opened.failed_trials) == (4, 0)
    assert opened.delay(4.0) == pytest.approx(0.1)
    assert not opened.is_closed


async def test_only_failed_trial_requests_prolong_an_outage() -> None:
    """The wait triples with each failed trial request, up to 9 s; other failures only count."""
    circuit = Circuit(failures=3, failed_trials=0, due=10.0)
    assert after(circuit, object(), 10.0) == Circuit(failures=4, failed_trials=0, due=10.0)
    delays = []
    for _ in range(6):
        circuit = after(circuit, object(), 10.0, is_trial=True)
        delays.append(circuit.delay(10.0))
    assert delays == pytest.approx([0.3, 0.9, 2.7, 8.1, 9, 9])
    assert circuit.failed_trials == 6


async def test_trial_requests_are_jittered_and_wait_their_retry_after() -> None:
    """The wait is up to a tenth shorter, and never shorter than the server asks for."""
    config = CircuitBreakerConfig()
    assert config.wait(20, 1.0) == pytest.approx(8.1)
    circuit = Circuit(failures=3, failed_trials=7).after_failure(
        object(), now=10.0, is_trial=True, retry_after=30.0, fraction=0.5, config=config
    )
    assert circuit.delay(10.0) == 30.0
    assert circuit.delay(50.0) == 0.0
