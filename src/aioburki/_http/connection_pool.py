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
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import certifi
import httpcore

from .echo import DISTRUST
from .lookup_limiter import LookupLimiter
from .pooled_connection import PooledConnection, PooledStream
from .send_observer import NO_OBSERVER, observer_of

EXPIRY_DELAY = 0.1  # seconds; connections that were released together are closed together


class ConnectionPool:
    """Send each request over a connection that no other request uses meanwhile.

    Idle connections are reused, the one used last first, for some seconds, and closed
    by a timer then. The pool
    has no limit of its own: it has as many connections as requests were in flight at once, and
    looks up the names for at most `MAX_LOOKUPS` of them at the same time. Proxies, certificates and
    netrc of the environment are not used, and TLS keys are never logged.

    One event loop uses it at a time. Once that loop is closed another one may use it.

    Args:
        context: for TLS; None for one that trusts the certificates of certifi.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = context
        self._idle: list[PooledConnection] = []
        self._expiry: asyncio.TimerHandle | None = None  # set while there are idle connections
        # When the request was sent whose connection broke last; -inf again as soon as a connection
        # that is older has served a request. If the server restarts, connections that have been
        # idle since then are broken too, and a retry over one of them would only fail again.
        self._suspected = -math.inf
        self._limiter = LookupLimiter()
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
        connection = await self._acquire(request.url.origin, request)
        sent = time.monotonic()
        try:
            response = await connection.send(request)
        except BaseException as error:
            if isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError):
                self._suspected = sent
            connection.discard()
            raise
        response.stream = PooledStream(response.stream, connection, self._release)
        response.extensions[DISTRUST] = partial(self._distrust, connection)
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

    async def _acquire(
        self, origin: httpcore.Origin, request: httpcore.Request | None = None
    ) -> PooledConnection:
        """Return the idle connection to *origin* that was used last, or a new one.

        One on which a surplus response could be taken for that to *request* is not used.
        """
        observer = NO_OBSERVER if request is None else observer_of(request)
        context = self._context
        connection = None if context is None else self._available(origin, request, context)
        if connection is None:
            observer.record_wait()
            context = await self._tls_context()
            while (connection := self._available(origin, request, context)) is None:
                # For another connection to be released, or for room to open one.
                await self._limiter.wait()
            observer.record_sent()
        if self._has_idle or self._limiter.has_room:
            self._limiter.wake()  # a woken task wakes the next as long as there is a connection
        return connection

    def _available(
        self,
        origin: httpcore.Origin,
        request: httpcore.Request | None,
        context: ssl.SSLContext,
    ) -> PooledConnection | None:
        skipped: list[PooledConnection] = []
        try:
            while self._has_idle:
                connection = self._idle.pop()
                if not connection.is_usable(origin):
                    connection.discard()
                elif request is not None and connection.may_confuse(request):
                    skipped.append(connection)
                else:
                    return connection
        finally:
            self._idle += reversed(skipped)
        return PooledConnection(origin, context, self._limiter) if self._limiter.has_room else None

    def _distrust(self, connection: PooledConnection) -> None:
        """Close *connection*, and use no connection again that is idle now."""
        connection.discard()
        self._suspected = time.monotonic()

    @property
    def _has_idle(self) -> bool:
        return bool(self._idle) and self._idle[-1].idle_since > self._suspected

    def _release(self, connection: PooledConnection) -> None:
        if connection.created < self._suspected:
            self._suspected = -math.inf
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        self._discard_expired()
        if self._idle and self._expiry is None:
            self._set_expiry()
        self._limiter.wake()

    def _discard_expired(self) -> None:
        now = time.monotonic()
        while self._idle and self._idle[0].expires < now:
            self._idle.pop(0).discard()

    def _set_expiry(self) -> None:
        """Set the timer that closes the connection that has been idle longest."""
        left = self._idle[0].expires - time.monotonic()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(left + EXPIRY_DELAY, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._discard_expired()
        if self._idle:
            self._set_expiry()

    def _discard_idle(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
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
        self._expiry = None
        self._suspected = -math.inf
        self._limiter = LookupLimiter()
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


def load_tls_context() -> ssl.SSLContext:
    """Read the certificates of certifi and return a context that trusts them, and no others."""
    # Not `ssl.create_default_context`, which writes TLS keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context
