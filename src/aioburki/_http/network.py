"""Network: TCP and TLS connections, over asyncio's own transports.

What httpcore comes with goes through anyio, which stops and starts reading round each piece of
a body, and forgets a socket whose TLS handshake is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import httpcore
from aiohappyeyeballs import start_connection

# Seconds until a server's next address is tried beside one that does not answer (RFC 8305).
NEXT_ADDRESS = 0.25

# Bytes that have come and nobody has read, before the server is made to wait.
MAX_UNREAD = 2**20


async def connect(host: bytes, port: int, seconds: float | None = None) -> NetworkStream:
    """Return a connection to the address of *host* that answers first.

    Raises:
        httpcore.ConnectTimeout: none did within *seconds*.
        httpcore.ConnectError: there is none, or all refused.
    """
    loop = asyncio.get_running_loop()
    async with _connecting(seconds):
        # As text the name would go through a codec whose refusals are no OSError.
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)
        _, stream = await loop.create_connection(NetworkStream, sock=connected)
    return stream


class NetworkStream(asyncio.Protocol):
    """Hold what comes over a transport for the one task that reads, and pass on what it writes."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._is_paused = False
        self._is_over = False
        self._is_closed = False
        self._failure: Exception | None = None
        self._arrival: asyncio.Future[None] | None = None

    @property
    def has_unread(self) -> bool:
        """Tell whether there is something to read, if only the connection's end."""
        return bool(self._pieces) or self._is_over

    @property
    def is_closed(self) -> bool:
        """Tell whether it was closed on this side."""
        return self._is_closed

    async def read(self) -> bytes:
        """Return the next piece, as large as it came, or nothing at the connection's end.

        Raises:
            httpcore.ReadError: the connection is broken.
        """
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
        if self._is_paused and self._unread < MAX_UNREAD:
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    def write(self, data: bytes) -> None:
        """Send a request, which is small, without waiting for anything.

        Raises:
            httpcore.RemoteProtocolError: an answer is there, which can be none to it.
            httpcore.WriteError: the connection is broken.
        """
        if self._pieces:
            raise httpcore.RemoteProtocolError("the answer was there before the request")
        if self._is_over:
            raise httpcore.WriteError("the connection is closed")
        self._transport.write(data)

    async def start_tls(
        self, context: ssl.SSLContext, host: str, seconds: float | None = None
    ) -> None:
        """Encrypt the connection; it is of no use if that fails or is cancelled.

        Raises:
            httpcore.ConnectTimeout: it took more than *seconds*.
            httpcore.ConnectError: the server is not who it should be, or broke off.
        """
        loop = asyncio.get_running_loop()
        async with _connecting(seconds):
            if self._pieces or self._is_over:  # nothing of it was encrypted
                raise ConnectionError("the server did not wait for TLS")
            transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        assert transport is not None
        self._transport = transport

    def close(self) -> None:
        """Close the connection in the next turn of the loop, whatever is under way in it."""
        self._is_over = self._is_closed = True
        self._pieces.clear()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Keep *data* for the reader."""
        self._pieces.append(data)
        self._unread += len(data)
        if self._unread >= MAX_UNREAD:
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


@asynccontextmanager
async def _connecting(seconds: float | None) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except (OSError, RuntimeError) as error:  # uvloop may raise the second for the first
        raise httpcore.ConnectError(str(error)) from error
