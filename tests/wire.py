"""A server on asyncio streams that sends, truncates or withholds responses as a test says.

It records the order of events on the wire, such as ``connect, GET 2, close, connect, GET 2``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
from pages import body, page

from aioburki import BurkiClient
from aioburki._http import ConnectionPool, PoolTransport


def connection_pool_of(burki: BurkiClient) -> ConnectionPool:
    """Return the connection pool of a default client."""
    transport = burki._session.sender.http._transport
    assert isinstance(transport, PoolTransport)
    pool: object = transport._pool
    assert isinstance(pool, ConnectionPool)
    return pool


@attrs.frozen
class Reply:
    """One response; *fault* is ``close``, ``half``, ``stall`` or ``drip``."""

    content: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    fault: str | None = None
    closes: bool = False
    """Close the connection after the response, without a ``Connection: close`` header."""


def page_reply(number: int, per_page: int, total: int, **changes: Any) -> Reply:
    """Return the reply with page *number* of a list of *total* contacts."""
    return Reply(body(page(number, per_page, range(1, total + 1))), **changes)


@attrs.define
class WireServer:
    """The server: how it answers, and what it has seen."""

    answer: Callable[[int, int, int], Reply]
    url: str = ""
    events: list[str] = attrs.field(factory=list)
    requests: list[str] = attrs.field(factory=list)
    connections: int = 0
    open_connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    application_protocols: set[str | None] = attrs.field(factory=set)
    latency: float = 0.0
    _attempts: Counter[int] = attrs.field(factory=Counter)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        self.events.append("connect")
        if secure := writer.get_extra_info("ssl_object"):
            self.application_protocols.add(secure.selected_alpn_protocol())
        try:
            while await self._serve_request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            pass  # at the end of the test; asyncio's streams would report it as an error
        finally:
            self.open_connections -= 1
            writer.close()

    async def _serve_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Serve one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        query = parse_qs(urlsplit(head.split(" ")[1]).query)
        number, per_page = int(query["page"][0]), int(query["per_page"][0])
        self.events.append(f"GET {number}")
        self._attempts[number] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await _wait(reader, self.latency)
            reply = self.answer(number, self._attempts[number], per_page)
            return await self._send(reader, writer, reply)
        finally:
            self.in_flight -= 1

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply
    ) -> bool:
        if reply.fault == "close":
            self.events.append("close")
            return False
        headers = {
            "content-type": "application/json",
            "content-length": str(len(reply.content)),
        } | reply.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} Status\r\n{lines}\r\n".encode())
        if reply.fault == "half":
            writer.write(reply.content[: len(reply.content) // 2])
            await writer.drain()
            self.events.append("half")
            return False
        if reply.fault == "stall":
            await writer.drain()
            await _wait(reader, 60)
        if reply.fault == "drip":
            for byte in reply.content:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.02)
        else:
            writer.write(reply.content)
            await writer.drain()
        self.events.append(str(reply.status))
        return not reply.closes


async def _wait(reader: asyncio.StreamReader, seconds: float) -> None:
    """Wait *seconds*, but raise ConnectionResetError as soon as the client disconnects."""
    try:
        async with asyncio.timeout(seconds):
            await reader.read(1)
    except TimeoutError:
        return
    raise ConnectionResetError


@asynccontextmanager
async def wire_server(
    answer: Callable[[int, int, int], Reply],
    *,
    latency: float = 0.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WireServer]:
    """Serve the replies of *answer*, called with page number, attempt (from 1) and per_page."""
    state = WireServer(answer, latency=latency)
    server = await asyncio.start_server(state.handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    state.url = f"{'https' if tls else 'http'}://localhost:{port}"
    tasks_before = asyncio.all_tasks()
    try:
        yield state
    finally:
        server.close()
        new_tasks = asyncio.all_tasks() - tasks_before
        handlers = [task for task in new_tasks if "handle" in repr(task.get_coro())]
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
