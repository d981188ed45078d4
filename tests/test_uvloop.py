"""Pulls on uvloop, which many services use."""

from __future__ import annotations

import asyncio
import random
import ssl

import pytest
import uvloop
from pages import KEY
from wire import WireServer, page_reply, wire_server

from aioburki import BurkiClient


async def pull_and_cancel(server: WireServer) -> None:
    draw = random.Random(1)
    async with BurkiClient(KEY, base_url=server.url) as burki:
        contacts = burki.contacts(42, per_page=50)
        assert len(await contacts) == 1000
        assert server.connections <= 8
        for _ in range(50):
            pull = asyncio.ensure_future(contacts)
            await asyncio.sleep(draw.random() * 0.02)
            pull.cancel()
            await asyncio.wait((pull,))
        assert len(await contacts) == 1000
    async with asyncio.timeout(5):
        while server.open_connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("encrypted", [False, True])
def test_pulls_and_cancellations_over_uvloop(authority: ssl.SSLContext, *, encrypted: bool) -> None:
    """Pulls are complete after cancellations, and no connection stays open."""

    async def main() -> None:
        answer = lambda number, _, per_page: page_reply(number, per_page, 1000)  # noqa: E731
        async with wire_server(answer, tls=authority if encrypted else None) as server:
            await pull_and_cancel(server)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
