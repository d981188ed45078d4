"""Network: TCP and TLS streams over asyncio's transports.

httpcore's network backend uses anyio, which pauses and resumes reading for each piece of a body
and leaves the socket open when a TLS handshake is cancelled
(https://github.com/encode/httpcore/pull/443).
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

import httpcore
from aiohappyeyeballs import start_connection

# Seconds until a host's next address is tried as well (RFC 8305, "Connection Attempt Delay").
NEXT_ADDRESS = 0.25

# Bytes received and not yet read, from which on reading from the socket is paused.
MAX_UNREAD = 2**20


async def connect(
    host: bytes,
    port: int,
    seconds: float | None = None,
    looked_up: Callable[[], None] = lambda: None,
) -> NetworkStream:
    """Connect to the first address of *host* that accepts, and return the stream.

    Calls *looked_up* when the name has been looked up.

    Raises:
        httpcore.ConnectTimeout: none accepted within *seconds*; looking up the name counts.
        httpcore.ConnectError: the name has no address, or none accepted.
    """
    loop = asyncio.get_running_loop()
    async with _connecting(seconds):
        # Text would be encoded as IDNA first, whose errors are UnicodeError, not OSError.
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        looked_up()
        connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)
        _, stream = await loop.create_connection(NetworkStream, sock=connected)
    return stream


class NetworkStream(asyncio.Protocol):
    """A byte stream over an asyncio transport; one task at a time reads and writes.

    Received bytes are kept until they are read. From `MAX_UNREAD` bytes on the transport stops
    reading, so that TCP makes the server wait.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._is_paused = False
        self._is_over = False
        self._is_closed = False
        self._failure: Exception | None = None
        self._received: asyncio.Future[None] | None = None

    @property
    def has_unread(self) -> bool:
        """Return whether bytes or the end of the stream have been received and not read."""
        return bool(self._pieces) or self._is_over

    @property
    def is_silent(self) -> bool:
        """Return whether nothing has come that was not read, in the socket either.

        The event loop does not look there while tasks run.
        """
        return not self.has_unread and not _is_readable(self._transport)

    @property
    def is_closed(self) -> bool:
        """Return whether `close` was called."""
        return self._is_closed

    async def read(self) -> bytes:
        """Wait for bytes and return them; empty at the end of the stream.

        Bytes that came before the end or before the connection broke are returned first.

        Raises:
            httpcore.ReadError: the connection is broken.
        """
        while not self._pieces:
            if self._failure is not None:
                raise httpcore.ReadError(str(self._failure)) from self._failure
            if self._is_over:
                return b""
            self._received = asyncio.get_running_loop().create_future()
            try:
                await self._received
            finally:
                self._received = None
        piece = self._pieces.popleft()
        self._unread -= len(piece)
        if self._is_paused and self._unread < MAX_UNREAD:
            self._is_paused = False
            self._transport.resume_reading()
        return piece

    def write(self, data: bytes) -> None:
        """Write *data*, a small request, to the transport; does not wait until it is sent.

        Raises:
            httpcore.RemoteProtocolError: the server has already sent something, which cannot be
                the response.
            httpcore.WriteError: the connection is closed.
        """
        if self._pieces:
            raise httpcore.RemoteProtocolError("the server sent a response before the request")
        if self._is_over:
            raise httpcore.WriteError("the connection is closed")
        self._transport.write(data)

    async def start_tls(
        self, context: ssl.SSLContext, host: str, seconds: float | None = None
    ) -> None:
        """Do a TLS handshake with *host*. If it fails or is cancelled, the stream must be closed.

        Raises:
            httpcore.ConnectTimeout: it took more than *seconds*.
            httpcore.ConnectError: the certificate is refused, or the handshake failed.
        """
        loop = asyncio.get_running_loop()
        # Each time, as httpcore does: another client may use the same context for HTTP/2.
        context.set_alpn_protocols(["http/1.1"])
        async with _connecting(seconds):
            if self.has_unread:  # received unencrypted, so it is not authentic
                raise _early_error(is_data=bool(self._pieces))
            transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        assert transport is not None
        self._transport = transport

    def close(self) -> None:
        """Drop unread bytes and close the connection in the loop's next iteration."""
        self._is_over = self._is_closed = True
        self._pieces.clear()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transport does not subclass asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep *data* until it is read; pause reading if there is too much of it."""
        self._pieces.append(data)
        self._unread += len(data)
        if self._unread >= MAX_UNREAD:
            self._is_paused = True
            self._transport.pause_reading()
        self._notify_reader()

    def eof_received(self) -> None:
        """Record the end of the stream; asyncio then closes the transport."""
        self._is_over = True
        self._notify_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Record that the connection is closed, or the error that broke it."""
        self._is_over = True
        self._is_paused = False
        self._failure = exc
        self._notify_reader()

    def _notify_reader(self) -> None:
        if self._received is not None and not self._received.done():
            self._received.set_result(None)


def _is_readable(transport: asyncio.Transport) -> bool:
    """Return whether the socket of *transport* has bytes, or its end, that were not read."""
    descriptor: int = transport.get_extra_info("socket").fileno()
    if not hasattr(select, "poll"):  # Windows, whose `select` takes any descriptor
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _early_error(*, is_data: bool) -> OSError:
    """Return the error for what came before the handshake; for data, as OpenSSL would name it."""
    if not is_data:
        return ConnectionError("the server closed the connection before the TLS handshake")
    error = ssl.SSLError("the server sent data before the TLS handshake")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@asynccontextmanager
async def _connecting(seconds: float | None) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except (OSError, RuntimeError) as error:  # uvloop raises RuntimeError for some OSErrors
        raise httpcore.ConnectError(str(error)) from error
