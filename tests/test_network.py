"""The network stream: reading, writing, TLS, connecting, and how it ends."""

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
    """Yield a stream to a server that runs *serve* and then resets the connection."""

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
    """Wait until *stream* has received something."""
    async with asyncio.timeout(5):
        while not stream.has_unread:
            await asyncio.sleep(0.01)


async def test_what_came_before_the_end_is_still_read() -> None:
    """Bytes that were received together with the end are read before it."""

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
    """A reset is an error and not an end, also when it is read later."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset = writer.get_extra_info("socket")
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with connected(serve) as stream:
        stream.write(b"request")
        for _ in range(2):
            with pytest.raises(httpcore.ReadError):
                await stream.read()


async def test_data_before_the_request_is_an_error() -> None:
    """Data received before the request is not taken for its response; nothing is sent."""
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
    """Writing to a connection that the server has closed is a WriteError."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with connected(serve) as stream:
        await settle(stream)
        with pytest.raises(httpcore.WriteError):
            stream.write(b"request")


async def test_reading_pauses_at_the_maximum_of_unread_bytes() -> None:
    """Unread bytes are bounded, and none is lost."""
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
async def test_data_before_the_tls_handshake_is_an_error(word: bytes) -> None:
    """Unencrypted data or an end before the handshake is a ConnectError."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        if word:
            await reader.read()

    async with connected(serve) as stream:
        await settle(stream)
        with pytest.raises(httpcore.ConnectError, match="before the TLS handshake"):
            await stream.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "localhost")


async def test_a_stalled_handshake_times_out() -> None:
    """A handshake that the server does not answer ends at its timeout."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with connected(serve) as stream:
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "localhost", 0.05)


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose first address refuses is reached at its second."""

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


async def test_looking_up_a_name_can_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout for connecting includes looking up the name."""

    async def resolve(*_: object, **__: object) -> list[object]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(httpcore.ConnectTimeout):
        await connect(b"slow.example", 80, 0.05)


@pytest.mark.parametrize("host", ["a" * 70 + ".invalid", "no..invalid", "none.invalid"])
async def test_a_name_that_does_not_exist(host: str) -> None:
    """A name that does not exist, or is invalid, is a ConnectError."""
    with pytest.raises(httpcore.ConnectError):
        await connect(host.encode(), 80, 5)


@pytest.mark.parametrize("error", [ConnectionRefusedError, RuntimeError])
async def test_errors_of_other_event_loops_are_connect_errors(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A RuntimeError, which uvloop raises for some sockets, is a ConnectError too."""

    async def start_connection(*_: object, **__: object) -> socket.socket:
        raise error("gone")

    monkeypatch.setattr(network, "start_connection", start_connection)
    with pytest.raises(httpcore.ConnectError, match="gone"):
        await connect(b"127.0.0.1", 9, 5)
