"""Decoding and delivery are spread over turns of the event loop, so that other tasks can run."""

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

from aioburki import BurkiClient, PermissionDeniedError, ResponseDecodeError
from aioburki._list_contacts import CONTACTS
from aioburki._stream import MAX_PER_TURN

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

IDS = range(1, 81)


class SimultaneousPages:
    """Respond to the first page at once, and to every other page one second after its request."""

    def __init__(self, *, missing: int | None = None) -> None:
        self.missing = missing

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number > 1:
            await asyncio.sleep(1)
        if number == self.missing:
            return httpx.Response(403)
        return httpx.Response(200, json=page(number, 10, IDS))

    def client(self) -> BurkiClient:
        return BurkiClient(KEY, transport=httpx.MockTransport(self), concurrency=16)


@pytest_asyncio.fixture
async def decode_turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that records the loop turn of each step of decoding a page."""
    turn = count_turns(monkeypatch)
    decoded: list[int] = []

    steps = CONTACTS.decoder.steps

    def decode(body: bytes) -> Iterator[object]:
        for done in steps(body):
            decoded.append(turn[0])
            yield done

    monkeypatch.setattr(CONTACTS.decoder, "steps", decode)
    return decoded


def count_turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list whose only item is the number of the current turn of the loop."""
    loop: Any = asyncio.get_running_loop()
    run_once = loop._run_once
    turn = [0]

    def count() -> None:
        turn[0] += 1
        run_once()

    monkeypatch.setattr(loop, "_run_once", count)
    return turn


async def test_pages_that_arrive_together_are_decoded_in_separate_turns(
    decode_turns: list[int],
) -> None:
    """Seven pages that arrive in one turn of the loop are decoded in seven turns."""
    async with SimultaneousPages().client() as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert [contact.id for contact in contacts] == list(IDS)
    assert len(set(decode_turns)) == 8
    assert decode_turns == sorted(decode_turns)


async def test_pulls_of_one_client_decode_in_separate_turns(decode_turns: list[int]) -> None:
    """Pages of two concurrent pulls of one client are decoded in separate turns too."""
    async with SimultaneousPages().client() as burki:
        both = await asyncio.gather(*(burki.contacts(42, per_page=10).to_list() for _ in "ab"))
    assert [len(contacts) for contacts in both] == [80, 80]
    assert len(set(decode_turns)) == 16
    assert decode_turns == sorted(decode_turns)


@pytest.mark.parametrize(
    "change", [{}, {"new": 1}, {"contact_data": {"company": 1, "new": 1}}, {"id": "1"}]
)
async def test_a_large_page_is_decoded_in_several_turns(
    decode_turns: list[int], change: dict[str, Any]
) -> None:
    """A page of 1,000 contacts takes several turns, whichever decoder reads it."""
    content = page(1, 1000, range(1, 1001))
    content["contacts"][-1] |= change
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    async with BurkiClient(KEY, transport=transport) as burki:
        if "id" in change:
            with pytest.raises(ResponseDecodeError):
                await burki.contacts(42)
        else:
            await burki.contacts(42)
    assert len(set(decode_turns)) == len(decode_turns) >= 2


@pytest.mark.parametrize(("change", "expected"), [({}, 1), ({"new": 1}, 3), ({"id": "1"}, 3)])
async def test_a_small_documented_page_is_decoded_in_one_turn(
    decode_turns: list[int], change: dict[str, Any], expected: int
) -> None:
    """A small page takes several turns only if a slower decoder reads it."""
    content = page(1, 50, range(1, 51))
    content["contacts"][-1] |= change
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    async with BurkiClient(KEY, transport=transport) as burki:
        with suppress(ResponseDecodeError):
            await burki.contacts(42)
    assert len(set(decode_turns)) == expected


@pytest.mark.parametrize("way", ["contacts", "stream"])
async def test_iteration_without_awaits_lets_other_tasks_run(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """At most MAX_PER_TURN contacts of a large page are delivered in one turn of the loop."""
    content = page(1, 1000, range(1, 1001))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=content))
    turn = count_turns(monkeypatch)
    delivered: Counter[int] = Counter()
    async with BurkiClient(KEY, transport=transport) as burki:
        if way == "contacts":
            async for _ in burki.contacts(42):
                delivered[turn[0]] += 1
        else:
            async with burki.contacts(42).stream() as stream:
                async for _ in stream:
                    delivered[turn[0]] += 1
    assert sum(delivered.values()) == 1000
    assert max(delivered.values()) <= MAX_PER_TURN


async def test_cancellation_between_two_contacts_loses_none() -> None:
    """A stream whose `anext` is cancelled between two contacts goes on with the next one."""
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


async def test_a_cancelled_pull_does_not_delay_another(decode_turns: list[int]) -> None:
    """Pages of a cancelled pull that wait to be decoded do not delay another pull."""
    async with SimultaneousPages().client() as burki:
        pulls = [asyncio.ensure_future(burki.contacts(42, per_page=10).to_list()) for _ in "ab"]
        await asyncio.sleep(1)
        while len(set(decode_turns)) < 4:
            await asyncio.sleep(0)
        pulls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulls[0]
        assert len(await pulls[1]) == 80
    assert len(set(decode_turns)) < 16


async def test_pages_before_a_failed_page_are_delivered() -> None:
    """Pages before a failed page are delivered, even if they arrive in the same turn."""
    got: list[int] = []
    async with SimultaneousPages(missing=5).client() as burki:
        with pytest.raises(PermissionDeniedError, match="page 5"):
            async for contact in burki.contacts(42, per_page=10):
                got.append(contact.id)
    assert got == list(range(1, 41))
