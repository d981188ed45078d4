"""Network: TCP and TLS connections as httpcore wants them, over asyncio's own transports.

What httpcore comes with goes through anyio, which stops and starts reading round each piece of
a body, and forgets a socket whose TLS handshake is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpcore
from aiohappyeyeballs import start_connection

# Seconds until a server's next address is tried beside one that does not answer (RFC 8305).
NEXT_ADDRESS = 0.25

# Bytes that have come and nobody has read, before the server is made to wait.
MOST_UNREAD = 2**20

# httpcore offers more than is ever asked for here: times besides that for connecting, pieces
# of a certain size, local addresses, options of a socket.
# ruff: noqa: ARG002, ASYNC109


class NetworkStream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """Pass bytes between a transport and httpcore, of which one task at a time reads.

    Args:
        begin: called before anything is written.
    """

    _transport: asyncio.Transport

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._is_paused = False
        self._is_over = False
        self._failure: Exception | None = None
        self._arrival: asyncio.Future[None] | None = None
        self.was_read = False  # since the last request

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next piece, as large as it came, or nothing at the connection's end.

        Raises:
            httpcore.ReadError: the connection is broken.
        """
        self.was_read = True
        while not self._pieces:
            if self._failure is not None:
                raise httpcore.ReadError(str(self._failure)) from self._failure
            if self._is_over:
                return b""
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        piece = self._pieces.popleft()
        self._unread -= len(piece)
        if self._is_paused and self._unread < MOST_UNREAD:
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request, which is small, without waiting for anything.

        Raises:
            httpcore.RemoteProtocolError: an answer is there, which can be none to it.
            httpcore.WriteError: the connection is broken.
        """
        if not buffer:
            return
        self._begin()
        if self._pieces:
            raise httpcore.RemoteProtocolError("the answer was there before the request")
        if self._is_over:
            raise httpcore.WriteError("the connection is closed")
        self.was_read = False
        self._transport.write(buffer)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        """Encrypt the connection and return it; it is of no use if that fails or is cancelled.

        Raises:
            httpcore.ConnectTimeout: it took more than *timeout* seconds.
            httpcore.ConnectError: the server is not who it should be, or broke off.
        """
        loop = asyncio.get_running_loop()
        async with _connecting(timeout):
            if self._pieces or self._is_over:  # nothing of it was encrypted
                raise ConnectionError("the server did not wait for TLS")
            transport = await loop.start_tls(
                self._transport, self, ssl_context, server_hostname=server_hostname
            )
        assert transport is not None
        self._transport = transport
        return self

    async def aclose(self) -> None:
        """Close the connection as `close` does."""
        self.close()

    def close(self) -> None:
        """Close the connection in the next turn of the loop, whatever is under way in it."""
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Return what the transport knows; ``is_readable`` also if the connection is over."""
        if info == "is_readable":
            return bool(self._pieces) or self._is_over
        return self._transport.get_extra_info(info)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Keep *data* for the reader."""
        self._pieces.append(data)
        self._unread += len(data)
        if self._unread >= MOST_UNREAD:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Take in that nothing more will come; the transport then closes itself."""
        self._is_over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take in that the connection is closed, or why it broke."""
        self._is_over = True
        self._is_paused = False
        self._failure = exc
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


class Network(httpcore.AsyncNetworkBackend):
    """Open one connection, and know it from then on.

    Args:
        begin: called before anything is written to it.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.stream: NetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Return a connection to the address of *host* that answers first.

        Raises:
            httpcore.ConnectTimeout: none did within *timeout* seconds.
            httpcore.ConnectError: there is none, or all refused.
        """
        loop = asyncio.get_running_loop()
        async with _connecting(timeout):
            # As text it would go through a codec whose refusals are no OSError.
            name = host.encode("ascii")
            addresses = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)
            _, self.stream = await loop.create_connection(
                lambda: NetworkStream(self._begin), sock=connected
            )
        return self.stream


@asynccontextmanager
async def _connecting(timeout: float | None) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
