"""Pooled connection: a connection of a pool, and the body of the response on it."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

import httpcore

from .connection import Connection
from .echo import may_confuse
from .internals import set_inner_connection
from .lookup_limiter import LookupLimiter

# Servers commonly close a connection that has been idle for 5 s. A request that is sent over a
# connection while the server closes it has to be sent again.
KEEPALIVE_SECONDS = 4.0


class PooledConnection(httpcore.AsyncHTTPConnection):
    """A connection to *origin*, opened when its first request is sent.

    Requests pass through the inherited `handle_async_request`, which mocks such as respx patch.

    Attributes:
        created: when it was made, in seconds of the monotonic clock.
        idle_since: when its last response was read to the end.
    """

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, limiter: LookupLimiter
    ) -> None:
        super().__init__(origin)
        self._inner = Connection(origin, context, self._leave_limiter)
        set_inner_connection(self, self._inner)
        self._limiter: LookupLimiter | None = limiter  # until the name is looked up
        self.created = self.idle_since = time.monotonic()
        self._last: httpcore.Request | None = None
        limiter.enter()

    @property
    def expires(self) -> float:
        """When it is closed if no request is sent over it, in seconds of the monotonic clock."""
        return self.idle_since + KEEPALIVE_SECONDS

    def is_usable(self, origin: httpcore.Origin) -> bool:
        """Return whether a request to *origin* may be sent over it now.

        It may not after `KEEPALIVE_SECONDS` without one, nor if the server has closed it or has
        sent something meanwhile.
        """
        return (
            self.can_handle_request(origin)
            and self._inner.is_available()
            and time.monotonic() < self.expires
        )

    def may_confuse(self, request: httpcore.Request) -> bool:
        """Return whether a surplus response to the last request could be taken for that to this."""
        return may_confuse(self._last, request, time.monotonic() - self.idle_since)

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request* and return the response, its body unread."""
        self._last = request
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
