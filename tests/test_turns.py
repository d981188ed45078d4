"""Answers that come together are read one in each turn of the loop, so that others get theirs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pages import KEY, page

from aioburki import BurkiClient, NotFoundError, ResponseDecodeError
from aioburki._contacts import MAX_PER_TURN
from aioburki._list_contacts import CONTACTS

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

IDS = range(1, 81)


class Together:
    """Answer the first page at once, all others a second after they were asked for."""

    def __init__(self, *, missing: int | None = None) -> None:
        self.missing = missing

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number > 1:
            await asyncio.sleep(1)
        if number == self.missing:
            return httpx.Response(404)
        return httpx.Response(200, json=page(number, 10, IDS))

    def client(self) -> BurkiClient:
        return BurkiClient(KEY, transport=httpx.MockTransport(self), concurrency=16)


@pytest_asyncio.fixture
async def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note in which turn of the loop each step of decoding a page is taken."""
    turn = counted_turns(monkeypatch)
    decoded: list[int] = []

    steps = CONTACTS.decoder.steps

    def decode(body: bytes) -> Iterator[object]:
        for done in steps(body):
            decoded.append(turn[0])
            yield done

    monkeypatch.setattr(CONTACTS.decoder, "steps", decode)
    return decoded


def counted_turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list whose only item is the number of the loop's turn."""
    loop: Any = asyncio.get_running_loop()
    run_once = loop._run_once
    turn = [0]

    def count() -> None:
        turn[0] += 1
        run_once()

    monkeypatch.setattr(loop, "_run_once", count)
    return turn


async def test_pages_that_land_together_are_decoded_apart(turns: list[int]) -> None:
    """Seven pages in one turn are decoded in seven."""
    async with Together().client() as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert [contact.id for contact in contacts] == list(IDS)
    assert len(set(turns)) == 8
    assert turns == sorted(turns)


async def test_pulls_of_one_client_take_turns(turns: list[int]) -> None:
    """Two pulls that share a client do not add up either, and neither waits for the other."""
    async with Together().client() as burki:
        both = await asyncio.gather(*(burki.contacts(42, per_page=10)._collect() for _ in "ab"))
    assert [len(contacts) for contacts in both] == [80, 80]
    assert len(set(turns)) == 16
    assert turns == sorted(turns)


@pytest.mark.parametrize("change", [{}, {"new": 1}, {"contact_data": {"company": 1, "new": 1}}])
async def test_a_large_page_is_decoded_in_several_turns(
    turns: list[int], change: dict[str, Any]
) -> None:
    """Whatever the way, a thousand contacts are never read, made and checked in one turn."""
    content = page(1, 1000, range(1, 1001))
    content["contacts"][-1] |= change
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    async with BurkiClient(KEY, transport=transport) as burki:
        if "contact_data" in change:
            with pytest.raises(ResponseDecodeError):
                await burki.contacts(42)
        else:
            await burki.contacts(42)
    assert len(set(turns)) == len(turns) >= 2


@pytest.mark.parametrize(("change", "expected"), [({}, 1), ({"new": 1}, 3), ({"id": "1"}, 3)])
async def test_a_small_page_is_decoded_in_one_turn_if_it_is_as_documented(
    turns: list[int], change: dict[str, Any], expected: int
) -> None:
    """The longer ways take up to ten milliseconds even for a small page, and so take turns."""
    content = page(1, 50, range(1, 51))
    content["contacts"][-1] |= change
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    async with BurkiClient(KEY, transport=transport) as burki:
        with suppress(ResponseDecodeError):
            await burki.contacts(42)
    assert len(set(turns)) == expected


@pytest.mark.parametrize("way", ["contacts", "stream"])
async def test_who_iterates_without_waiting_lets_others_run(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Of a large page no more than a part is handed out in one turn of the loop."""
    content = page(1, 1000, range(1, 1001))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    turn = counted_turns(monkeypatch)
    got: Counter[int] = Counter()
    async with BurkiClient(KEY, transport=transport) as burki:
        if way == "contacts":
            async for _ in burki.contacts(42):
                got[turn[0]] += 1
        else:
            async with burki.contacts(42).stream() as stream:
                async for _ in stream:
                    got[turn[0]] += 1
    assert sum(got.values()) == 1000
    assert max(got.values()) <= MAX_PER_TURN


async def test_a_deadline_between_two_contacts_loses_none() -> None:
    """A stream that is cancelled where it lets others run goes on with the next contact."""
    content = page(1, 1000, range(1, 1001))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    got: list[int] = []
    cancelled = 0
    burki = BurkiClient(KEY, transport=transport)
    async with burki, burki.contacts(42).stream() as stream:
        got.append((await anext(stream)).id)
        while len(got) < 1000:
            step = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            if not step.done():
                step.cancel()
                cancelled += 1
            try:
                got.append((await step).id)
            except asyncio.CancelledError:
                continue
    assert got == list(range(1, 1001))
    assert cancelled >= 1


async def test_a_pull_that_is_cancelled_gives_up_its_turns(turns: list[int]) -> None:
    """Pages that wait for their turn when their pull ends do not hold up another pull."""
    async with Together().client() as burki:
        pulls = [asyncio.ensure_future(burki.contacts(42, per_page=10)._collect()) for _ in "ab"]
        await asyncio.sleep(1)
        while len(set(turns)) < 4:
            await asyncio.sleep(0)
        pulls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulls[0]
        assert len(await pulls[1]) == 80
    assert len(set(turns)) < 16


async def test_what_came_before_a_failure_is_delivered() -> None:
    """A page that landed together with a failure, but before it, is still handed out."""
    got: list[int] = []
    async with Together(missing=5).client() as burki:
        with pytest.raises(NotFoundError, match="page 5"):
            async for contact in burki.contacts(42, per_page=10):
                got.append(contact.id)
    assert got == list(range(1, 41))
