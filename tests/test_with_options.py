"""`BurkiClient.with_options`: a view with other options over the same connections and pace."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable

import httpx
import pytest
from pages import KEY, page

from aioburki import (
    BurkiClient,
    ClientClosedError,
    ConfigurationError,
    Event,
    PageFetched,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from aioburki._options import UNCHANGED
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

Handler = Callable[[httpx.Request], httpx.Response]


def ok(_request: httpx.Request | None = None) -> httpx.Response:
    return httpx.Response(200, json=page(1, 1, [1]))


def client(handler: Handler, **options: object) -> BurkiClient:
    return BurkiClient(KEY, transport=httpx.MockTransport(handler), **options)  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


class Answers:
    """Answer what is set, and record when requests came."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.times: list[float] = []

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.times.append(now())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


async def test_only_what_is_given_changes() -> None:
    """A view of a view has the options of both, and the client has its own."""
    async with client(ok, timeout=7, attempts=5, max_wait=90) as burki:
        one = burki.with_options(timeout=3)
        two = one.with_options(attempts=2)
        three = two.with_options(max_wait=0, timeout=4)
        seen = [
            (each._options.settings.timeout, each._options.settings.attempts,
             each._options.settings.max_wait)
            for each in (burki, burki.with_options(), one, two, three)
        ]  # fmt: skip
        assert seen == [(7, 5, 90), (7, 5, 90), (3, 5, 90), (3, 2, 90), (4, 2, 0)]
        assert isinstance(three, BurkiClient)
        assert await three.contacts(42).count() == 1


async def test_view_names_its_options() -> None:
    """The repr of a view shows which options are its own, and nothing else of them."""
    async with client(ok) as burki:
        plain = "BurkiClient(base_url='https://api.burki.dev', concurrency=8, rate=None"
        assert repr(burki.with_options()) == f"{plain})"
        view = burki.with_options(attempts=2, on_event=print).with_options(timeout=3)
        assert repr(view) == f"{plain}).with_options(timeout=3.0, attempts=2, on_event=...)"
        silent = burki.with_options(max_wait=1, on_event=None)
        assert repr(silent) == f"{plain}).with_options(max_wait=1.0, on_event=None)"
    assert repr(view).startswith(f"{plain}, closed).with_options(")
    assert repr(UNCHANGED) == "UNCHANGED"
    assert KEY not in repr(vars(view))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(view)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0}, {"timeout": None}, {"attempts": 0}, {"attempts": 101}, {"attempts": None},
        {"max_wait": -1}, {"max_wait": float("nan")}, {"on_event": 3}, {"on_event": "print"},
    ],
    ids=str,
)  # fmt: skip
async def test_options_are_checked_as_those_of_a_client(options: dict[str, object]) -> None:
    """What the constructor refuses a view refuses too, in the same words."""
    with pytest.raises(ConfigurationError) as of_client:
        client(ok, **options)
    async with client(ok) as burki:
        with pytest.raises(ConfigurationError) as of_view:
            burki.with_options(**options)  # type: ignore[arg-type]
    assert str(of_view.value) == str(of_client.value)


async def test_timeout_is_that_of_the_view() -> None:
    """An attempt of a view ends after its own timeout."""

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10)
        return ok()

    async with BurkiClient(KEY, transport=httpx.MockTransport(slow), attempts=1) as burki:
        begin = now()
        with pytest.raises(RequestTimeoutError):
            await burki.with_options(timeout=2).contacts(42)
        assert now() - begin == pytest.approx(2, abs=0.1)
        assert await burki.contacts(42).count() == 1


@pytest.mark.parametrize("is_own_client", [False, True])
async def test_connections_have_the_timeout_of_the_view(is_own_client: bool) -> None:
    """The time for a connection is that of the view too, at most ten seconds."""
    seen: list[float] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["connect"])
        return ok()

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        burki = BurkiClient(KEY, http_client=http) if is_own_client else client(handler)
        async with burki:
            for each in (burki, burki.with_options(timeout=2), burki.with_options(timeout=60)):
                await each.contacts(42).count()
    assert seen == [10, 2, 10]


async def test_attempts_are_those_of_the_view() -> None:
    """A view gives a page up after its own number of attempts."""
    answers = Answers(httpx.Response(500))
    async with client(answers, attempts=3) as burki:
        with pytest.raises(ServerError):
            await burki.with_options(attempts=1).contacts(42)
        assert len(answers.times) == 1
        with pytest.raises(ServerError):
            await burki.contacts(42)
        assert len(answers.times) == 4


async def test_events_of_a_view_go_to_its_own_handler() -> None:
    """A view has its own handler, that of the client, or none."""
    of_client: list[Event] = []
    of_view: list[Event] = []
    async with client(ok, on_event=of_client.append) as burki:
        await burki.with_options(on_event=of_view.append).contacts(42)
        assert [type(event) for event in of_view if isinstance(event, PageFetched)]
        assert not of_client
        await burki.with_options(on_event=of_view.append).with_options(on_event=None).contacts(42)
        before = len(of_view)
        await burki.with_options(attempts=2).contacts(42)
        assert (len(of_view), bool(of_client)) == (before, True)


async def test_views_share_rate_and_slots() -> None:
    """The requests of a client and its views together keep to one rate and one concurrency."""
    in_flight: list[int] = [0]

    async def slow(request: httpx.Request) -> httpx.Response:
        in_flight.append(in_flight[-1] + 1)
        await asyncio.sleep(1)
        in_flight.append(in_flight[-1] - 1)
        return ok(request)

    async with BurkiClient(KEY, transport=httpx.MockTransport(slow), concurrency=3) as burki:
        views = [burki, *(burki.with_options(attempts=each) for each in (1, 2, 3))]
        await asyncio.gather(*(view.contacts(42).to_list() for view in 4 * views))
        assert max(in_flight) == 3
    answers = Answers(ok())
    async with client(answers, rate=2) as burki:
        for view in (burki, burki.with_options(timeout=3), burki.with_options(attempts=1)):
            await view.contacts(42).count()
        assert answers.times[2] - answers.times[0] >= 0.9


async def test_closing_one_closes_all() -> None:
    """A client and its views are closed together, and their pulls end."""
    for closes_view in (False, True):
        sandbox = Sandbox(1_000, latency=1)
        burki = BurkiClient(KEY, transport=sandbox.transport)
        view = burki.with_options(attempts=1)
        pulls = [
            asyncio.create_task(each.contacts(42, per_page=10).to_list()) for each in (burki, view)
        ]
        await asyncio.sleep(1.5)
        each = view if closes_view else burki
        await asyncio.gather(each.aclose(), each.aclose())
        for pull in pulls:
            with pytest.raises(ClientClosedError):
                await pull
        for each in (burki, view):
            with pytest.raises(ClientClosedError):
                each.contacts(42)
            with pytest.raises(ClientClosedError):
                each.with_options()


async def test_view_that_gives_up_leaves_the_client_waiting() -> None:
    """In an outage a view with one attempt fails, and the client's pull survives it."""
    down_until = now() + 60

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500) if now() < down_until else ok(request)

    async with client(handler, attempts=30) as burki:
        pulls = [asyncio.create_task(burki.contacts(each).to_list()) for each in range(1, 4)]
        await asyncio.sleep(1)
        view = burki.with_options(attempts=1)
        with pytest.raises(ServerError):
            await view.contacts(42)
        assert now() < down_until
        assert [len(await pull) for pull in pulls] == [1] * 3


async def test_refused_view_leaves_the_client_waiting() -> None:
    """While all is refused a view that waits no second fails, and the client waits on."""
    closed_until = now() + 30

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429) if now() < closed_until else ok(request)

    async with client(handler) as burki:
        pull = asyncio.create_task(burki.contacts(1).to_list())
        await asyncio.sleep(5)
        with pytest.raises(RateLimitError):
            await burki.with_options(max_wait=1).contacts(42)
        assert len(await pull) == 1
        assert await burki.with_options(max_wait=1).contacts(42).count() == 1


async def test_row_of_refusals_goes_on_while_the_client_waits() -> None:
    """A view that gives up again and again does not keep the client waiting without end."""
    async with client(lambda _: httpx.Response(429), max_wait=60) as burki:
        begin = now()
        pull = asyncio.create_task(burki.contacts(1).to_list())
        view = burki.with_options(max_wait=2)
        while not pull.done():
            with pytest.raises(RateLimitError):
                await view.contacts(42)
            await asyncio.sleep(1)
        assert isinstance(pull.exception(), RateLimitError)
        assert now() - begin < 70


@pytest.mark.parametrize(("status", "number"), [(429, 1), (503, 3)])
async def test_view_does_not_wait_for_what_the_client_was_asked(status: int, number: int) -> None:
    """A view ends when the server asks the client for a longer wait than its own, and later too."""
    retry = httpx.Response(status, headers={"Retry-After": "60"})
    answers = Answers(ok(), *(number * [retry]), ok())
    async with client(answers, concurrency=1) as burki:
        view = burki.with_options(max_wait=10)
        await burki.contacts(42).count()
        pulls = [asyncio.create_task(burki.contacts(each).to_list()) for each in range(1, 6)]
        await asyncio.sleep(0)
        waiting = asyncio.create_task(view.contacts(7).to_list())
        begin = now()
        with pytest.raises(RateLimitError, match="longer than max_wait") as caught:
            await waiting
        assert (caught.value.campaign_id, caught.value.page) == (7, 1)
        assert caught.value.retry_after is not None
        assert now() - begin < 10
        with pytest.raises(RateLimitError, match="longer than max_wait"):
            await view.contacts(8)
        assert now() - begin < 10
        patient = burki.with_options(max_wait=100).contacts(9).count()
        assert await patient == 1
        for pull in pulls:
            await pull
        assert await view.contacts(42).count() == 1  # the wait is over


async def test_view_is_sent_when_the_server_is_back_early() -> None:
    """A wait that the server asked for binds no view any more once the server has answered."""
    is_busy = True

    async def handler(request: httpx.Request) -> httpx.Response:
        if "/4/" in request.url.path:
            await asyncio.sleep(5)
        elif is_busy:
            return httpx.Response(503, headers={"Retry-After": "60"})
        return ok(request)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        pulls = [asyncio.create_task(burki.contacts(each).to_list()) for each in range(1, 5)]
        await asyncio.sleep(1)
        view = burki.with_options(max_wait=10)
        with pytest.raises(RateLimitError, match="longer than max_wait"):
            await view.contacts(7)
        await asyncio.sleep(5)
        is_busy = False
        begin = now()
        assert await view.contacts(7).count() == 1
        assert now() == begin
        for pull in pulls:
            await pull


async def test_view_does_not_wait_for_a_quota() -> None:
    """A quota that the client waits for ends a view that waits less, before it and after it."""
    used_up = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60", "X-RateLimit-Limit": "9"}
    answers = Answers(httpx.Response(200, json=page(1, 1, [1]), headers=used_up), ok())
    async with client(answers) as burki:
        view = burki.with_options(max_wait=10)
        await burki.contacts(42).count()
        begin = now()
        waiting = asyncio.create_task(burki.contacts(42).count())
        await asyncio.sleep(1)
        with pytest.raises(RateLimitError):
            await view.contacts(8)
        assert now() - begin < 10
        assert await waiting == 1
        assert now() - begin >= 59
        assert await view.contacts(42).count() == 1


async def test_long_quota_is_spread_by_the_wait_of_each_view() -> None:
    """Where the quota is spread, requests of each view go by its own `max_wait`."""
    headers = {
        "X-RateLimit-Remaining": "4",
        "X-RateLimit-Reset": "300",
        "X-RateLimit-Limit": "100",
    }
    answers = Answers(httpx.Response(200, json=page(1, 1, [1]), headers=headers), ok())
    async with client(answers) as burki:
        await burki.contacts(42).count()
        begin = now()
        await burki.with_options(max_wait=10).contacts(42).count()  # 75 s each is too much for it
        assert now() - begin < 1
        await burki.contacts(42).count()
        assert 60 < now() - begin < 120
