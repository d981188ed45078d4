"""The network stream: what it hands out, when it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpcore
import pytest

from aioburki._http import network
from aioburki._http.network import MAX_UNREAD, NetworkStream, connect

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[NetworkStream]:
    """Yield a stream to a server that does *serve*, whose connection is reset in the end."""

    async def serve_and_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve_and_reset, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        stream = await connect(b"127.0.0.1", port, 5)
        try:
            yield stream
        finally:
            stream.close()
            await asyncio.sleep(0)


async def settle(stream: NetworkStream) -> None:
    """Wait until *stream* has something to tell."""
    async with asyncio.timeout(5):
        while not stream.has_unread:
            await asyncio.sleep(0.01)


async def test_what_came_before_the_end_is_still_read() -> None:
    """Bytes that came together with the end of a connection are handed out first."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        writer.write_eof()
        await writer.drain()
        await asyncio.sleep(0.05)

    async with connected(serve) as stream:
        await asyncio.sleep(0.1)
        assert await stream.read() == b"last words"
        assert await stream.read() == b""
        assert await stream.read() == b""


async def test_a_broken_connection_is_a_read_error() -> None:
    """A reset is told from an end, also to a reader who comes later."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset = writer.get_extra_info("socket")
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with connected(serve) as stream:
        stream.write(b"request")
        for _ in range(2):
            with pytest.raises(httpcore.ReadError):
                await stream.read()


async def test_answers_before_the_request_are_refused() -> None:
    """Bytes that nobody has asked for are not taken for an answer; the request is not sent."""
    received = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        received = await reader.read(1)

    async with connected(serve) as stream:
        await settle(stream)
        with pytest.raises(httpcore.RemoteProtocolError, match="before the request"):
            stream.write(b"request")
        stream.close()
        await asyncio.sleep(0.05)
    assert received == b""


async def test_nothing_is_written_to_a_closed_connection() -> None:
    """A connection that the server has closed is told from one that loses its answer."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with connected(serve) as stream:
        await settle(stream)
        with pytest.raises(httpcore.WriteError):
            stream.write(b"request")


async def test_a_server_that_talks_too_much_has_to_wait() -> None:
    """Unread bytes are bounded; all of them come once they are read."""
    total = 8 * 2**20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(total))
        await writer.drain()
        await reader.read(1)

    async with connected(serve) as stream:
        await asyncio.sleep(0.3)
        assert MAX_UNREAD <= stream._unread < 2 * MAX_UNREAD
        received = 0
        while received < total:
            received += len(await stream.read())
        assert received == total
        assert stream._unread == 0
        stream.write(b"x")


@pytest.mark.parametrize("word", [b"220 ready\r\n", b""])
async def test_tls_begins_in_silence(word: bytes) -> None:
    """What came before the handshake, or an end, is never taken for something encrypted."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        if word:
            await reader.read()

    async with connected(serve) as stream:
        await settle(stream)
        with pytest.raises(httpcore.ConnectError, match="did not wait for TLS"):
            await stream.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "localhost")


async def test_a_stuck_handshake_ends_at_its_time() -> None:
    """A server that accepts and says nothing costs no more than the time for connecting."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with connected(serve) as stream:
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "localhost", 0.05)


async def test_the_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose first address is dead is reached at its second."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(7))
        await writer.drain()
        await reader.read()
        writer.close()

    async def resolve(*_: object, **__: object) -> list[object]:
        tcp = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*tcp, ("127.0.0.1", dead.getsockname()[1])), (*tcp, ("127.0.0.1", port))]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with socket.socket() as dead:  # bound, but it does not listen
            dead.bind(("127.0.0.1", 0))
            stream = await connect(b"two.example", 80)
        stream.write(b"request")
        assert await stream.read() == b"request"
        stream.close()


async def test_a_name_that_cannot_be_looked_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up a name is part of the time for connecting."""

    async def resolve(*_: object, **__: object) -> list[object]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(httpcore.ConnectTimeout):
        await connect(b"slow.example", 80, 0.05)


@pytest.mark.parametrize("host", ["a" * 70 + ".invalid", "no..invalid", "none.invalid"])
async def test_a_name_that_does_not_exist(host: str) -> None:
    """A name that nobody has or can have is a server that cannot be reached."""
    with pytest.raises(httpcore.ConnectError):
        await connect(host.encode(), 80, 5)


@pytest.mark.parametrize("error", [ConnectionRefusedError, RuntimeError])
async def test_whatever_keeps_from_connecting_is_a_connect_error(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Event loops other than asyncio's own raise RuntimeError for sockets that are gone."""

    async def start_connection(*_: object, **__: object) -> socket.socket:
        raise error("gone")

    monkeypatch.setattr(network, "start_connection", start_connection)
    with pytest.raises(httpcore.ConnectError, match="gone"):
        await connect(b"127.0.0.1", 9, 5)
