"""Waits that the server causes: each is told, and none is longer than `max_wait`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest
from pages import KEY, page

from aioburki import BurkiClient, Event, PauseStarted, RateLimitError

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

HALF_A_DAY = {
    "x-ratelimit-limit": "1000",
    "x-ratelimit-remaining": "10",
    "x-ratelimit-reset": "43200",
}


def now() -> float:
    return asyncio.get_running_loop().time()


class Server:
    """Serve *pages* pages of one contact; *answer* may refuse or add headers."""

    def __init__(
        self, pages: int, answer: Callable[[int], httpx.Response | dict[str, str]]
    ) -> None:
        self.pages, self.answer = pages, answer
        self.times: list[float] = []
        self.events: list[PauseStarted] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.times.append(now())
        answer = self.answer(len(self.times))
        if isinstance(answer, httpx.Response):
            return answer
        number = int(request.url.params["page"])
        return httpx.Response(200, headers=answer, json=page(number, 1, range(self.pages)))

    def listen(self, event: Event) -> None:
        if isinstance(event, PauseStarted):
            self.events.append(event)

    async def pull(self, **settings: float) -> int:
        """Pull all pages, one after another."""
        async with BurkiClient(
            KEY,
            transport=httpx.MockTransport(self),
            on_event=self.listen,
            concurrency=1,
            **settings,  # type: ignore[arg-type]
        ) as burki:
            return len(await burki.contacts(42, per_page=1))

    def gaps(self) -> list[float]:
        return [later - sooner for sooner, later in zip(self.times, self.times[1:], strict=False)]


async def test_few_requests_left_of_a_long_period_are_used_at_once() -> None:
    """Ten requests left for half a day delay no pull that needs fewer."""
    server = Server(9, lambda _: HALF_A_DAY)
    assert await server.pull() == 9
    assert max(server.gaps()) == 0
    assert server.events == []


@pytest.mark.parametrize("max_wait", [0, 120, 4000])
async def test_quota_beyond_max_wait_is_raised(max_wait: float) -> None:
    """When the quota of half a day is used up the error says when it is reset; nothing waits."""
    server, start = Server(100, lambda _: HALF_A_DAY), now()
    with pytest.raises(RateLimitError, match=r"is reset in 43,200 s") as caught:
        await server.pull(max_wait=max_wait)
    assert caught.value.retry_after == pytest.approx(43_200)
    assert (caught.value.campaign_id, caught.value.page) == (42, 12)
    assert len(server.times) == 11
    assert now() - start <= max_wait


async def test_quota_within_max_wait_is_waited_for_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The wait for the end of a period is one event and one log line, before it begins."""
    headers = {"x-ratelimit-limit": "5", "x-ratelimit-reset": "30"}
    server = Server(7, lambda n: {**headers, "x-ratelimit-remaining": str((5 - n) % 5)})
    start = now()
    await server.pull()
    assert [gap for gap in server.gaps() if gap] == [pytest.approx(30)]
    (pause,) = server.events
    assert (pause.campaign_id, pause.page) == (42, 6)
    assert pause.seconds == pause.retry_after == pytest.approx(30)
    lines = [record.getMessage() for record in caplog.records if record.name == "aioburki"]
    lines = [line for line in lines if "wait" in line]
    assert lines == ["campaign 42 page 6: the server's quota, all requests wait 30.00 s"]
    assert now() - start == pytest.approx(30)


async def test_spread_quota_is_told_with_each_wait() -> None:
    """An hour's quota of which a quarter is left is spread, and each wait is an event."""
    headers = {"x-ratelimit-limit": "1000", "x-ratelimit-reset": "3600"}
    server = Server(5, lambda n: {**headers, "x-ratelimit-remaining": str(251 - n)})
    await server.pull()
    assert server.gaps() == pytest.approx([3600 / 250] * 4, rel=0.02)
    assert [event.seconds for event in server.events] == pytest.approx(server.gaps(), rel=0.01)


async def test_quota_waits_are_told_to_all_pulls_of_a_client() -> None:
    """Each request that waits for the end of a period at the head of the queue reports it."""
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "10"}
    server = Server(1, lambda _: headers)
    async with BurkiClient(
        KEY, transport=httpx.MockTransport(server), on_event=server.listen
    ) as burki:
        for _ in range(3):
            await burki.contacts(42)
    assert [event.seconds for event in server.events] == pytest.approx([10, 10])


@pytest.mark.parametrize("headers", [{}, {"retry-after": "20"}])
async def test_pause_that_is_left_when_a_pull_is_given_up_is_told(headers: dict[str, str]) -> None:
    """The next pull of the client waits for its end, which the last event names."""
    server = Server(1, lambda _: httpx.Response(429, headers=headers))
    async with BurkiClient(
        KEY, transport=httpx.MockTransport(server), on_event=server.listen, max_wait=30
    ) as burki:
        with pytest.raises(RateLimitError):
            await burki.contacts(42)
        until, pause = now(), server.events[-1].seconds
        server.answer = lambda _: {}
        await burki.contacts(42)
    assert pause > 1
    assert server.times[-1] - until == pytest.approx(pause, abs=0.2)


@pytest.mark.parametrize("unit", [1, 1000])
async def test_retry_after_may_be_an_epoch_time(unit: int) -> None:
    """A Retry-After in epoch seconds or milliseconds is a moment, not fifty years."""

    def answer(number: int) -> httpx.Response | dict[str, str]:
        moment = int((time.time() + 7) * unit)
        return httpx.Response(429, headers={"retry-after": str(moment)}) if number == 1 else {}

    server = Server(1, answer)
    assert await server.pull() == 1
    assert 5.9 <= server.gaps()[0] <= 7.3


@pytest.mark.parametrize("max_wait", [4, 20])
async def test_measured_limit_is_never_slower_than_max_wait(max_wait: float) -> None:
    """However many 429s there are between successes, no request waits beyond max_wait."""
    server = Server(60, lambda n: httpx.Response(429) if n % 2 == 0 else {})
    assert await server.pull(max_wait=max_wait) == 60
    assert 0.9 * max_wait <= max(server.gaps()) <= max_wait + 1


async def test_slow_measured_limit_is_told() -> None:
    """Where a measured limit lets requests wait for more than a second, each wait is an event."""
    server = Server(40, lambda n: httpx.Response(429) if n % 2 == 0 else {})
    await server.pull(max_wait=10)
    for gap in server.gaps()[-20:]:
        assert gap <= 1 or any(gap - 1 <= event.seconds <= gap + 0.1 for event in server.events)
    assert any(event.retry_after is None and event.seconds > 8 for event in server.events)
