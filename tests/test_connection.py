"""The connection: which HTTP it understands, and when it may be used again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import attrs
import httpcore
import pytest

from aioburki._http.connection import EVENTS_PER_TURN, MAX_HEAD, Connection

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@attrs.define
class Server:
    """Answer each request with the next of *answers*; close after the last one."""

    answers: list[bytes]
    port: int = 0
    received: list[bytes] = attrs.field(factory=list)
    connections: int = 0
    is_closed_by_client: bool = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for answer in self.answers:
                self.received.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
            if self.answers:
                writer.write_eof()
            self.is_closed_by_client = await reader.read() == b""
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_closed_by_client = True
        finally:
            writer.close()

    def request(self, path: str = "/") -> httpcore.Request:
        return httpcore.Request("GET", f"http://127.0.0.1:{self.port}{path}", headers={"Host": "a"})


@asynccontextmanager
async def connected(*answers: bytes) -> AsyncIterator[tuple[Server, Connection]]:
    """Yield a server and a connection to it, which is closed in the end."""
    server = Server(list(answers))
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        origin = httpcore.Origin(b"http", b"127.0.0.1", server.port)
        connection = Connection(origin, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), lambda: None)
        try:
            yield server, connection
        finally:
            connection.close()
            await asyncio.sleep(0.01)


async def body_of(response: httpcore.Response) -> bytes:
    stream = response.stream
    assert isinstance(stream, AsyncIterable)
    return b"".join([piece async for piece in stream])


async def test_one_request_after_another() -> None:
    """A connection can be used again once its response was read to the end."""
    async with connected(OK, OK, OK) as (server, connection):
        for number in range(3):
            assert connection.is_available() == (number > 0)
            response = await connection.handle_async_request(server.request(f"/{number}"))
            assert not connection.is_available()
            assert (response.status, await body_of(response)) == (200, b"{}")
        assert server.connections == 1
        assert [head.split()[1] for head in server.received] == [b"/0", b"/1", b"/2"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        OK.replace(b"\r\n", b"\n"),
    ],
    ids=["chunked", "until-the-end", "old", "interim", "last", "bare-newlines"],
)
async def test_bodies_of_all_kinds_are_read(answer: bytes) -> None:
    """A body is read to its end however the server marks it."""
    async with connected(answer) as (server, connection):
        response = await connection.handle_async_request(server.request())
        assert (response.status, await body_of(response)) == (200, b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + OK,
        OK + b"\0",
    ],
    ids=["last", "old", "response-after-it", "byte-after-it"],
)
async def test_a_connection_that_cannot_be_reused_is_closed_at_once(answer: bytes) -> None:
    """A connection is closed after ``Connection: close`` or bytes after the end of a body."""
    async with connected(answer, OK) as (server, connection):
        await body_of(await connection.handle_async_request(server.request()))
        assert not connection.is_available()
        async with asyncio.timeout(2):
            while not server.is_closed_by_client:
                await asyncio.sleep(0.01)


async def test_a_connection_with_unread_data_is_not_available() -> None:
    """A connection on which the server sent or closed while it was idle is not used."""
    async with connected(OK) as (server, connection):
        await body_of(await connection.handle_async_request(server.request()))
        async with asyncio.timeout(2):
            while connection.is_available():
                await asyncio.sleep(0.01)
        with pytest.raises((httpcore.WriteError, httpcore.RemoteProtocolError)):
            await connection.handle_async_request(server.request())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed without a response"),
        (b"HTTP/1.1 200", "without sending complete|closed"),
        (b"220 ready\r\n\r\n", "illegal"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "SWITCH_UPGRADE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}", "Content-Length"),
    ],
    ids=["nothing", "half-a-head", "no-http", "other-protocol", "two-lengths"],
)
async def test_an_invalid_response_is_an_error(answer: bytes, message: str) -> None:
    """Invalid or missing HTTP is a RemoteProtocolError."""
    async with connected(answer) as (server, connection):
        with pytest.raises(httpcore.RemoteProtocolError, match=message):
            await connection.handle_async_request(server.request())
        assert not connection.is_available()


async def test_half_a_body_is_an_error() -> None:
    """A body shorter than its Content-Length is an error."""
    async with connected(OK[:-1]) as (server, connection):
        response = await connection.handle_async_request(server.request())
        with pytest.raises(httpcore.RemoteProtocolError, match="received 1 bytes, expected 2"):
            await body_of(response)
        assert not connection.is_available()


async def test_endless_headers_are_an_error() -> None:
    """Headers larger than `MAX_HEAD` are an error."""
    endless = b"HTTP/1.1 200 OK\r\n" + b"X-Long: yes\r\n" * (4 * MAX_HEAD // 13)
    async with connected(endless) as (server, connection):
        with pytest.raises(httpcore.RemoteProtocolError, match="too long"):
            await connection.handle_async_request(server.request())


async def test_an_invalid_request_is_not_sent() -> None:
    """Nothing is sent of a request that h11 refuses."""
    async with connected(OK) as (server, connection):
        request = httpcore.Request("GET", server.request().url, headers={"Host": "a\r\nX: y"})
        with pytest.raises(httpcore.LocalProtocolError):
            await connection.handle_async_request(request)
        assert server.received == []


async def test_each_request_has_its_own_headers() -> None:
    """Reusing checked headers never sends those of another request."""
    async with connected(OK, OK, OK, OK) as (server, connection):
        for who in (b"one", b"one", b"two", b"one"):
            headers = [(b"Host", b"a"), (b"X-Who", who)]
            request = httpcore.Request("GET", server.request().url, headers=headers)
            await body_of(await connection.handle_async_request(request))
    sent = [head.split(b"X-Who: ")[1].split(b"\r\n")[0] for head in server.received]
    assert sent == [b"one", b"one", b"two", b"one"]


async def test_headers_changed_after_sending_are_checked_again() -> None:
    """A list of headers that is changed after its request was sent is not taken for checked."""
    async with connected(OK, OK) as (server, connection):
        request = server.request()
        await body_of(await connection.handle_async_request(request))
        request.headers.append((b"X-Bad", b"a\r\nX: y"))
        with pytest.raises(httpcore.LocalProtocolError):
            await connection.handle_async_request(request)


async def test_a_closed_connection_stays_closed() -> None:
    """After `close` the rest of a response is not read, and no request is sent."""
    async with connected(OK, OK) as (server, connection):
        response = await connection.handle_async_request(server.request())
        connection.close()
        with pytest.raises(httpcore.ReadError, match="this side"):
            await body_of(response)
        assert not connection.is_available()
        with pytest.raises(httpcore.LocalProtocolError):
            await connection.handle_async_request(server.request())
        assert len(server.received) == 1


async def test_closing_while_a_body_is_read_is_an_error() -> None:
    """`close` is not taken for the end of a body that ends with the connection."""
    endless = b"HTTP/1.1 200 OK\r\n\r\n{}"
    async with connected(endless, OK) as (server, connection):
        response = await connection.handle_async_request(server.request())
        reading = asyncio.create_task(body_of(response))
        await asyncio.sleep(0.01)
        connection.close()
        with pytest.raises(httpcore.ReadError, match="this side"):
            await reading


@pytest.mark.parametrize(
    "pieces", [b"1\r\n \r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["chunks", "interim responses"]
)
async def test_tiny_pieces_do_not_block_the_event_loop(pieces: bytes) -> None:
    """Other tasks run after every `EVENTS_PER_TURN` pieces of a response."""
    many = pieces * (100 * EVENTS_PER_TURN)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = many + OK if pieces.startswith(b"HTTP") else chunked + many + b"0\r\n\r\n"
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with connected(answer) as (server, connection):
        counting = asyncio.create_task(count_turns())
        await body_of(await connection.handle_async_request(server.request()))
        counting.cancel()
    assert turns >= 100  # the socket alone causes far fewer


async def test_repr_shows_no_more_than_whether_it_is_idle() -> None:
    """`info`, which `repr` shows, has no part of a request or response."""
    async with connected(OK) as (server, connection):
        assert connection.info() == "HTTP/1.1, not idle"
        await body_of(await connection.handle_async_request(server.request("/secret")))
        assert connection.info() == "HTTP/1.1, idle"
