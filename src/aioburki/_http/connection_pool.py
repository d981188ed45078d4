"""ConnectionPool: one connection per request in flight, discarded after any unclean exit.

This is the only module that opens connections. It takes the place of httpcore's pool, which loses a
connection for good when a request is cancelled in it
(https://github.com/encode/httpcore/issues/1093) and takes time quadratic in the number of its
connections (https://github.com/encode/httpx/issues/3215).
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self

import anyio
import certifi
import httpcore

from .connect_limiter import ConnectLimiter
from .connection import Connection
from .internals import set_inner_connection

# Servers commonly close a connection that has been idle for 5 s. A request that is sent over a
# connection while the server closes it has to be sent again.
KEEPALIVE_SECONDS = 4.0


class ConnectionPool:
    """Send each request over a connection that no other request uses meanwhile.

    Idle connections are reused, the one used last first, for up to `KEEPALIVE_SECONDS`. The pool
    has no limit of its own: it has as many connections as requests were in flight at once, and
    opens at most `MAX_CONNECTS` of them at the same time. Proxies, certificates and netrc of the
    environment are not used, and TLS keys are never logged.

    One event loop uses it at a time. Once that loop is closed another one may use it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: list[PooledConnection] = []
        # When the request was sent whose connection broke last; -inf again as soon as a connection
        # that is older has served a request. If the server restarts, connections that have been
        # idle since then are broken too, and a retry over one of them would only fail again.
        self._suspected = -math.inf
        self._limiter = ConnectLimiter()
        self._loading = anyio.Lock()

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request* and return the response, its body unread.

        Closing the response's stream releases the connection: it is kept for another request if
        the body was read to its end, and closed if not. If sending fails or is cancelled the
        connection is closed.

        Raises:
            httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: as
                `Connection.handle_async_request`.
            RuntimeError: another event loop, which is not closed, uses this pool.
        """
        self._enter_loop()
        connection = await self._acquire(request.url.origin)
        sent = time.monotonic()
        try:
            response = await connection.send(request)
        except BaseException as error:
            if isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError):
                self._suspected = sent
            connection.discard()
            raise
        response.stream = PooledStream(response.stream, connection, self._release)
        return response

    async def aclose(self) -> None:
        """Close the idle connections; those in use are released with their responses.

        Raises:
            RuntimeError: another event loop, which is not closed, uses this pool. It is asked to
                close them: `httpx.AsyncClient.aclose` calls this once and not again.
        """
        try:
            self._enter_loop()
        except RuntimeError:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._discard_idle)
            raise
        self._discard_idle()
        await asyncio.sleep(0)  # the loop closes the sockets in its next iteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _acquire(self, origin: httpcore.Origin) -> PooledConnection:
        """Return the idle connection to *origin* that was used last, or a new one."""
        context = await self._tls_context()
        while (connection := self._available(origin, context)) is None:
            # For another connection to be released, or for room to open one.
            await self._limiter.wait()
        if self._has_idle or self._limiter.has_room:
            self._limiter.wake()  # a woken task wakes the next as long as there is a connection
        return connection

    def _available(
        self, origin: httpcore.Origin, context: ssl.SSLContext
    ) -> PooledConnection | None:
        while self._has_idle:
            connection = self._idle.pop()
            if connection.is_usable(origin):
                return connection
            connection.discard()
        return PooledConnection(origin, context, self._limiter) if self._limiter.has_room else None

    @property
    def _has_idle(self) -> bool:
        return bool(self._idle) and self._idle[-1].idle_since > self._suspected

    def _release(self, connection: PooledConnection) -> None:
        if connection.created < self._suspected:
            self._suspected = -math.inf
        now = connection.idle_since = time.monotonic()
        while self._idle and now - self._idle[0].idle_since > KEEPALIVE_SECONDS:
            self._idle.pop(0).discard()
        self._idle.append(connection)
        self._limiter.wake()

    def _discard_idle(self) -> None:
        while self._idle:
            self._idle.pop().discard()

    def _enter_loop(self) -> None:
        """Check that the running loop may use the pool, and forget connections of a closed one."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                "this BurkiClient is in use on another event loop; make one client for each loop"
            )
        self._loop = loop
        self._idle.clear()
        self._suspected = -math.inf
        self._limiter = ConnectLimiter()
        self._loading = anyio.Lock()

    async def _tls_context(self) -> ssl.SSLContext:
        if self._context is not None:
            return self._context
        async with self._loading:
            context: ssl.SSLContext | None = self._context
            if context is None:
                # Reading the certificates takes about 20 ms, too long for the event loop.
                context = self._context = await asyncio.to_thread(load_tls_context)
            return context


class PooledConnection(httpcore.AsyncHTTPConnection):
    """A connection to *origin*, opened when its first request is sent.

    Requests pass through the inherited `handle_async_request`, which mocks such as respx patch.

    Attributes:
        created: when it was made, in seconds of the monotonic clock.
        idle_since: when its last response was read to the end.
    """

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, limiter: ConnectLimiter
    ) -> None:
        super().__init__(origin)
        self._inner = Connection(origin, context, self._leave_limiter)
        set_inner_connection(self, self._inner)
        self._limiter: ConnectLimiter | None = limiter  # until the connection is open
        self.created = self.idle_since = time.monotonic()
        limiter.enter()

    def is_usable(self, origin: httpcore.Origin) -> bool:
        """Return whether a request to *origin* may be sent over it now.

        It may not after `KEEPALIVE_SECONDS` without one, nor if the server has closed it or has
        sent something meanwhile.
        """
        return (
            self.can_handle_request(origin)
            and self._inner.is_available()
            and time.monotonic() - self.idle_since < KEEPALIVE_SECONDS
        )

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request* and return the response, its body unread."""
        try:
            return await self.handle_async_request(request)
        finally:
            self._leave_limiter()

    def discard(self) -> None:
        """Close the connection, whatever it is doing."""
        self._inner.close()

    def _leave_limiter(self) -> None:
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.leave()


class PooledStream:
    """The body of a response; closing it releases the connection or discards it."""

    def __init__(
        self,
        body: Iterable[bytes] | AsyncIterable[bytes],
        connection: PooledConnection,
        release: Callable[[PooledConnection], None],
    ) -> None:
        assert isinstance(body, AsyncIterable)
        self._body = body
        self._connection: PooledConnection | None = connection
        self._release = release
        self._is_complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            yield piece
        self._is_complete = True

    async def aclose(self) -> None:
        """Release the connection if the whole body was read, else close it; once is enough."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._is_complete:
            connection.discard()
            return
        try:
            if aclose := getattr(self._body, "aclose", None):
                await aclose()
        except BaseException:
            connection.discard()
            raise
        self._release(connection)


def load_tls_context() -> ssl.SSLContext:
    """Read the certificates of certifi and return a context that trusts them, and no others."""
    # Not `ssl.create_default_context`, which writes TLS keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
