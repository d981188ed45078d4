"""Lanes: one connection for each request in flight, thrown away after any unclean exit.

The only place that opens connections. httpcore's pool takes time quadratic in its connections
and loses a slot for good when a request is cancelled in it; what nobody shares needs no pool.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import nullcontext

import anyio
import certifi
import httpcore
import httpx

from .connect_limiter import ConnectLimiter
from .connection import Connection

# Servers commonly close an idle connection after 5 s; reusing one they are about to close
# costs a failed request.
KEEPALIVE_SECONDS = 4.0

# httpx names these errors as httpcore does.
_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    getattr(httpcore, kind.__name__): kind
    for kind in (
        httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.ReadTimeout,
        httpx.WriteError, httpx.WriteTimeout, httpx.LocalProtocolError,
        httpx.RemoteProtocolError, httpx.UnsupportedProtocol,
    )
}  # fmt: skip
_ERROR_TYPES = tuple(_ERRORS)


class ConnectionPool:
    """Send each request over a lane of its own, the one used last first.

    Opens as many lanes as there are requests in flight, a few at a time; whoever sends bounds
    those. Proxies, certificates and netrc of the environment are not used, and TLS keys are
    never logged.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: list[PooledConnection] = []
        # When the request was sent whose connection broke last, until an older connection serves
        # again. If the server restarts, those that have rested since then are broken too, and a
        # retry over one of them would only find that out.
        self._suspected = -math.inf
        self._ramp = ConnectLimiter()
        self._reading = anyio.Lock()

    async def send(self, request: httpcore.Request) -> httpx.Response:
        """Send *request* and return the response, whose stream gives the lane back.

        Raises:
            httpx.TransportError: the connection failed.
            RuntimeError: another event loop uses these lanes.
        """
        self._enter_loop()
        lane = await self._take_lane(request.url.origin)
        sent = time.monotonic()
        try:
            response = await lane.send(request)
        except BaseException as error:
            if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
                self._suspected = sent
            lane.throw_away()
            raise
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=PooledStream(response, lane, self._give_back),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the idle lanes; those in use close with their responses."""
        self._enter_loop()
        while self._idle:
            self._idle.pop().throw_away()
        await asyncio.sleep(0)  # in which the loop closes them

    async def _take_lane(self, origin: httpcore.Origin) -> PooledConnection:
        """Return the lane used last that still leads to *origin*, or a new one in its turn."""
        context = await self._tls()
        while (lane := self._free_lane(origin, context)) is None:
            # Whatever comes first: room to open a lane, or one that others give back.
            await self._ramp.wait()
        if self._has_idle or self._ramp.has_room:
            self._ramp.wake()  # whoever is woken wakes the next, as long as there is something
        return lane

    def _free_lane(
        self, origin: httpcore.Origin, context: ssl.SSLContext
    ) -> PooledConnection | None:
        while self._has_idle:
            lane = self._idle.pop()
            if lane.leads_to(origin):
                return lane
            lane.throw_away()
        return PooledConnection(origin, context, self._ramp) if self._ramp.has_room else None

    @property
    def _has_idle(self) -> bool:
        return bool(self._idle) and self._idle[-1].rests_since > self._suspected

    def _give_back(self, lane: PooledConnection) -> None:
        if lane.made < self._suspected:
            self._suspected = -math.inf
        lane.rest()
        while self._idle and lane.rests_since - self._idle[0].rests_since > KEEPALIVE_SECONDS:
            self._idle.pop(0).throw_away()
        self._idle.append(lane)
        self._ramp.wake()

    def _enter_loop(self) -> None:
        """Forget the lanes of an event loop that is closed; connections cannot outlive it."""
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
        self._ramp = ConnectLimiter()
        self._reading = anyio.Lock()

    async def _tls(self) -> ssl.SSLContext:
        if self._context is not None:
            return self._context
        async with self._reading:
            context: ssl.SSLContext | None = self._context
            if context is None:
                # Reading the certificates takes some 20 ms, which the event loop is spared.
                context = self._context = await asyncio.to_thread(_tls_context)
            return context


class PooledConnection(httpcore.AsyncHTTPConnection):
    """One connection, opened when the first request is sent.

    Mocks such as respx replace `handle_async_request` of its parent, which as it is passes
    requests on to `_connection`.
    """

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, ramp: ConnectLimiter
    ) -> None:
        super().__init__(origin)
        self._connection = self._own = Connection(origin, context, self._end_opening)
        # Nobody shares a lane, and a lock takes a turn of the event loop although it is free.
        self._request_lock = nullcontext()  # type: ignore[assignment]
        self._ramp: ConnectLimiter | None = ramp  # while the connection is being opened
        self.made = time.monotonic()
        self.rests_since = self.made
        ramp.enter()

    def leads_to(self, origin: httpcore.Origin) -> bool:
        """Tell whether it may serve a request: neither expired, nor closed, nor talking."""
        return (
            self.can_handle_request(origin)
            and self._own.is_available()
            and time.monotonic() - self.rests_since < KEEPALIVE_SECONDS
        )

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        try:
            return await self.handle_async_request(request)
        except _ERROR_TYPES as error:
            raise _ERRORS[type(error)](str(error)) from error
        finally:
            self._end_opening()

    def rest(self) -> None:
        """Begin to wait for the next request."""
        self.rests_since = time.monotonic()

    def throw_away(self) -> None:
        """Close the connection, in whatever state it is."""
        self._own.close()

    def _end_opening(self) -> None:
        ramp, self._ramp = self._ramp, None
        if ramp is not None:
            ramp.leave()


class PooledStream(httpx.AsyncByteStream):
    """Pass a body on; when it is closed, give the lane back if all of it came, else not."""

    def __init__(
        self,
        response: httpcore.Response,
        lane: PooledConnection,
        give_back: Callable[[PooledConnection], None],
    ) -> None:
        self._response = response
        self._lane: PooledConnection | None = lane
        self._give_back = give_back
        self._complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, AsyncIterable)
        try:
            async for piece in stream:
                yield piece
        except _ERROR_TYPES as error:
            raise _ERRORS[type(error)](str(error)) from error
        self._complete = True

    async def aclose(self) -> None:
        lane, self._lane = self._lane, None
        if lane is None:
            return
        if not self._complete:
            lane.throw_away()
            return
        try:
            await self._response.aclose()
        except BaseException:
            lane.throw_away()
            raise
        self._give_back(lane)


def _tls_context() -> ssl.SSLContext:
    # Not `ssl.create_default_context`, which opens the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
