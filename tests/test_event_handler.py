"""Asynchronous on_event: refused, or closed and reported once."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from pages import KEY, ListServer

from aioburki import BurkiClient, ConfigurationError

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


async def record(*_: object) -> None:
    """Do nothing."""


async def generate(*_: object) -> AsyncGenerator[None]:
    yield


class Recorder:
    async def __call__(self, event: object) -> None:
        """Do nothing."""


class Plain:
    def __call__(self, event: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    "on_event",
    [record, generate, Recorder(), Recorder().__call__, functools.partial(record, 1),
     functools.partial(functools.partial(Recorder()))],
)  # fmt: skip
async def test_asynchronous_functions_are_refused(on_event: Any) -> None:
    """What can be seen to be asynchronous is a ConfigurationError, an object with it too."""
    with pytest.raises(ConfigurationError, match="on_event must be a plain function"):
        BurkiClient(KEY, on_event=on_event)


@pytest.mark.parametrize("on_event", [print, Plain(), functools.partial(Plain()), Recorder])
async def test_plain_callables_are_accepted(on_event: Any) -> None:
    """Functions, objects, partials and classes are accepted."""
    BurkiClient(KEY, on_event=on_event)


class WithoutEnd:
    def __await__(self) -> Any:
        """Return an iterator."""


@pytest.mark.parametrize(
    "returned",
    [
        record,
        lambda: asyncio.get_running_loop().create_future(),
        lambda: asyncio.get_running_loop().create_task(record()),
        WithoutEnd,
        generate,
    ],
)
async def test_a_returned_awaitable_is_closed(
    returned: Callable[[], Awaitable[None] | AsyncGenerator[None]], caplog: pytest.LogCaptureFixture
) -> None:
    """What on_event returns to be awaited is closed, logged once, and the pull goes on."""
    results: list[Any] = []

    def on_event(_: object) -> object:
        results.append(returned())
        return results[-1]

    server = ListServer(range(1, 31))
    async with BurkiClient(KEY, transport=server.transport, on_event=on_event) as burki:
        assert len(await burki.contacts(42, per_page=10)) == 30
    await asyncio.sleep(0)
    assert len(results) >= 3
    for result in results:
        if isinstance(result, asyncio.Future):
            assert result.cancelled()
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert errors == [
        "on_event returned an awaitable, which is not awaited: it must be a plain function"
    ]
