"""Waits: all waits of a client's requests end when the server is given up."""

from __future__ import annotations

import asyncio

import pytest

from aioburki import ServerError
from aioburki._requests.waits import ServerGivenUpError, Waits

pytestmark = pytest.mark.asyncio


async def wait(waits: Waits, event: asyncio.Event) -> None:
    async with waits.wait():
        await event.wait()


async def test_wait_without_end_is_ended() -> None:
    """All waits end when the server is given up, each with an error of its own."""
    waits = Waits(120.0)
    waiting = [asyncio.create_task(wait(waits, asyncio.Event())) for _ in range(3)]
    await asyncio.sleep(0)
    waits.end(ServerError("HTTP 503", status_code=503))
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [each.error for each in ended if isinstance(each, ServerGivenUpError)]
    assert [error.message for error in errors] == ["HTTP 503"] * 3
    assert len({id(error) for error in errors}) == 3


async def test_wait_that_ends_when_the_server_is_given_up_raises() -> None:
    """A wait that is over in the same moment ends like the others: nothing more is sent."""
    waits, event = Waits(120.0), asyncio.Event()
    waiting = asyncio.create_task(wait(waits, event))
    await asyncio.sleep(0)
    event.set()
    waits.end(ServerError("HTTP 503", status_code=503))
    with pytest.raises(ServerGivenUpError) as caught:
        await waiting
    assert caught.value.error.message == "HTTP 503"


async def test_cancellation_is_raised_also_when_the_server_is_given_up() -> None:
    """A task that is cancelled in the same moment is cancelled, and does not fail."""
    waits, event = Waits(120.0), asyncio.Event()
    waiting = asyncio.create_task(wait(waits, event))
    await asyncio.sleep(0)
    waits.end(ServerError("HTTP 503", status_code=503))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_timeout_inside_a_wait_is_raised() -> None:
    """A TimeoutError of the block's own is raised unchanged."""
    with pytest.raises(TimeoutError, match="its own"):
        async with Waits(120.0).wait():
            raise TimeoutError("its own")


async def test_wait_that_begins_later_is_not_ended() -> None:
    """A wait that begins after the server was given up is as usual."""
    waits, event = Waits(120.0), asyncio.Event()
    waits.end(ServerError("HTTP 503", status_code=503))
    event.set()
    await wait(waits, event)
