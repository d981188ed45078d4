"""Answers that come together are read one in each turn of the loop, so that others get theirs."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pages import KEY, page

from aioburki import BurkiClient, ContactPage, NotFoundError, _exchange
from aioburki._decode import decode_page
from aioburki._parse import Undecodable

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
    """Note in which turn of the loop each page is decoded."""
    loop: Any = asyncio.get_running_loop()
    run_once = loop._run_once
    turn = 0
    decoded: list[int] = []

    def count() -> None:
        nonlocal turn
        turn += 1
        run_once()

    def decode(body: bytes) -> ContactPage | Undecodable:
        decoded.append(turn)
        return decode_page(body)

    monkeypatch.setattr(loop, "_run_once", count)
    monkeypatch.setattr(_exchange, "decode_page", decode)
    return decoded


async def test_pages_that_land_together_are_decoded_apart(turns: list[int]) -> None:
    """Seven pages in one turn are decoded in seven."""
    async with Together().client() as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert [contact.id for contact in contacts] == list(IDS)
    assert len(turns) == 8
    assert all(earlier < later for earlier, later in pairwise(turns))


async def test_pulls_of_one_client_take_turns(turns: list[int]) -> None:
    """Two pulls that share a client do not add up either, and neither waits for the other."""
    async with Together().client() as burki:
        both = await asyncio.gather(*(burki.contacts(42, per_page=10)._collect() for _ in "ab"))
    assert [len(contacts) for contacts in both] == [80, 80]
    assert all(earlier < later for earlier, later in pairwise(turns))


async def test_a_pull_that_is_cancelled_gives_up_its_turns(turns: list[int]) -> None:
    """Pages that wait for their turn when their pull ends do not hold up another pull."""
    async with Together().client() as burki:
        pulls = [asyncio.ensure_future(burki.contacts(42, per_page=10)._collect()) for _ in "ab"]
        await asyncio.sleep(1)
        while len(turns) < 4:
            await asyncio.sleep(0)
        pulls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulls[0]
        assert len(await pulls[1]) == 80
    assert len(turns) < 16


async def test_what_came_before_a_failure_is_delivered() -> None:
    """A page that landed together with a failure, but before it, is still handed out."""
    got: list[int] = []
    async with Together(missing=5).client() as burki:
        with pytest.raises(NotFoundError, match="page 5"):
            async for contact in burki.contacts(42, per_page=10):
                got.append(contact.id)
    assert got == list(range(1, 41))
