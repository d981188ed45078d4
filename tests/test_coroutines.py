"""`to_list()` and `first()`: coroutines, for what does not take an awaitable of another kind."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from moving_sandbox import MovingSandbox, run_virtually
from pages import KEY, ListServer

from aioburki import (
    BurkiClient,
    Contact,
    ContactList,
    NotFoundError,
)
from aioburki.sandbox import Sandbox


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.usefixtures("nothing_left")
async def test_list_and_first_are_coroutines_for_tasks() -> None:
    """`create_task` and a TaskGroup run them, and each returns what `await` would."""
    sandbox = Sandbox(300, latency=0.05)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        contacts = burki.contacts(42, per_page=100)
        awaited = await contacts
        task = asyncio.create_task(contacts.to_list())
        async with asyncio.TaskGroup() as group:
            listed = group.create_task(contacts.to_list())
            first = group.create_task(contacts.first())
        assert await task == listed.result() == awaited
        assert isinstance(listed.result(), ContactList)
        assert listed.result().report.requests == 3
        assert first.result() == awaited[0]


def test_asyncio_run_takes_them() -> None:
    """`asyncio.run` runs them, without a coroutine of the caller's own."""
    burki = BurkiClient(KEY, transport=Sandbox(5).transport)
    assert len(asyncio.run(burki.contacts(42).to_list())) == 5
    first = asyncio.run(burki.contacts(42).first())
    assert isinstance(first, Contact)
    assert first.id == 101


@pytest.mark.asyncio
@pytest.mark.parametrize("complete", [True, False])
async def test_first_takes_one_request_of_one_contact(complete: bool) -> None:
    """`first()` asks for one contact, however long the list and large its pages are."""
    asked: list[str] = []
    server = ListServer(range(101, 5_101))

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["per_page"])
        return server(request)

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        first = await burki.contacts(42, per_page=50, complete=complete).first()
    assert first is not None
    assert first.id == 101
    assert asked == ["1"]


@pytest.mark.asyncio
async def test_first_of_nothing_is_none() -> None:
    """An empty list has no first contact, nor has one that is limited to none, unasked."""
    sandbox = Sandbox(0)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        assert await burki.contacts(42).first() is None
        assert sandbox.requests == 1
        assert await burki.contacts(42, limit=0).first() is None
        assert sandbox.requests == 1
        sandbox.add(3)
        assert await burki.contacts(42, limit=2).first() is not None


@pytest.mark.parametrize("order", ["id", "-id"])
def test_first_of_a_range_is_the_next_contact(order: str) -> None:
    """Of what a stream has left, `first()` is the contact that the stream would deliver next."""

    async def main() -> None:
        moving = MovingSandbox(1_000, order=order, id_gaps=True)
        async with moving.client() as burki:
            async with burki.contacts(42, per_page=100).stream() as stream:
                for _ in range(250):
                    await anext(stream)
                rest = stream.rest
                following = await anext(stream)
            assert rest is not None
            assert await burki.contacts(rest, per_page=100).first() == following

    run_virtually(main)


@pytest.mark.asyncio
async def test_first_raises_as_a_pull_does() -> None:
    """A campaign that does not exist is an error, not None."""
    async with BurkiClient(KEY, transport=Sandbox(5).transport) as burki:
        with pytest.raises(NotFoundError):
            await burki.contacts(7).first()
        with pytest.raises(NotFoundError):
            await burki.contacts(7).to_list()


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.usefixtures("nothing_left")
async def test_cancelled_first_leaves_nothing() -> None:
    """A cancellation ends the request."""
    sandbox = Sandbox(5, latency=10)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(burki.contacts(42).first(), 1)
