"""Lanes: one connection for each request in flight, thrown away after any unclean exit.

The only place that opens connections. httpcore's pool takes time quadratic in its connections
and loses a slot for good when a request is cancelled in it; what nobody shares needs no pool.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import anyio
import certifi
import httpcore
import httpx

from ._ramp import Ramp

# Servers commonly close an idle connection after 5 s; reusing one they are about to close
# costs a failed request.
KEEPALIVE_SECONDS = 4.0
CLOSING_SECONDS = 1.0

# httpx names these errors as httpcore does.
_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    getattr(httpcore, kind.__name__): kind
    for kind in (
        httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.ReadTimeout,
        httpx.WriteError, httpx.WriteTimeout, httpx.LocalProtocolError,
        httpx.RemoteProtocolError, httpx.UnsupportedProtocol,
    )
}  # fmt: skip


class Lanes:
    """Send each request over a lane of its own, the one used last first.

    Opens as many lanes as there are requests in flight, a few at a time; whoever sends bounds
    those. Proxies, certificates and netrc of the environment are not used, and TLS keys are
    never logged.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Lane] = []
        self._ramp = Ramp()
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
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # What befell this connection has befallen those that have rested since, if a server
            # restarts: a retry over another of them would only find that out again.
            await lane.throw_away()
            await self._throw_away_idle(sent)
            raise
        except BaseException:
            await lane.throw_away()
            raise
        assert isinstance(response.stream, _Stream)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_LaneStream(response.stream, lane, self._give_back),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the idle lanes; those in use close with their responses.

        A cancellation meanwhile is passed on afterwards, not before.
        """
        self._enter_loop()
        await self._throw_away_idle(math.inf)

    async def _take_lane(self, origin: httpcore.Origin) -> _Lane:
        """Return the lane used last that still leads to *origin*, or a new one in its turn."""
        context = await self._tls()
        while True:
            if self._idle:
                lane = self._idle.pop()
                if lane.leads_to(origin):
                    return lane
                await lane.throw_away()
            elif self._ramp.has_room:
                return _Lane(origin, context, self._ramp)
            else:  # whatever comes first: room to open a lane, or one that others give back
                await self._ramp.wait()

    def _give_back(self, lane: _Lane) -> None:
        lane.rest()
        self._idle.append(lane)
        self._ramp.wake()

    async def _throw_away_idle(self, before: float) -> None:
        """Throw away the lanes that have rested since *before*, on the monotonic clock."""
        interruption: asyncio.CancelledError | None = None
        while self._idle and self._idle[0].rests_since <= before:
            try:
                await self._idle.pop(0).throw_away()
            except asyncio.CancelledError as error:
                interruption = error
        if interruption is not None:
            raise interruption

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
        self._ramp = Ramp()
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


class _Lane:
    """One connection, opened when the first request is sent."""

    def __init__(self, origin: httpcore.Origin, context: ssl.SSLContext, ramp: Ramp) -> None:
        self._connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=context, keepalive_expiry=KEEPALIVE_SECONDS
        )
        self._socket: _Socket | None = None
        self._ramp: Ramp | None = ramp  # while the connection is being opened
        self.rests_since = 0.0
        self._has_waited = False
        ramp.enter()

    def leads_to(self, origin: httpcore.Origin) -> bool:
        """Tell whether it may serve a request: neither expired, nor closed, nor talking."""
        connection = self._connection
        return (
            connection.can_handle_request(origin)
            and connection.is_available()
            and not connection.has_expired()
        )

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        request.extensions = {**request.extensions, "trace": self._follow}
        try:
            return await self._connection.handle_async_request(request)
        except tuple(_ERRORS) as error:
            raise _ERRORS[type(error)](str(error)) from error
        finally:
            self._end_opening()

    def rest(self) -> None:
        """Begin to wait for the next request."""
        self.rests_since = time.monotonic()

    async def throw_away(self) -> None:
        # The socket is told to close before the first point where this can be interrupted.
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            await self._connection.aclose()
            if self._socket is not None:
                await self._socket.aclose()

    async def _follow(self, event: str, info: Mapping[str, Any]) -> None:
        """Take in what httpcore tells of a request."""
        match event:
            case "connection.connect_tcp.complete":
                # httpcore forgets a socket whose TLS handshake is cancelled, and leaves it open.
                self._socket = info["return_value"]
            case "http11.send_request_headers.started":
                self._end_opening()
            case "http11.receive_response_headers.started":
                self._has_waited = False
                asyncio.get_running_loop().call_soon(self._note_wait)
            case "http11.receive_response_headers.complete" if not self._has_waited:
                # No turn of the loop, so nothing was read: these bytes came with the answer
                # before, and httpcore takes them for the answer to this request.
                raise httpx.RemoteProtocolError("the answer was there before the request")
            case _:
                pass

    def _note_wait(self) -> None:
        self._has_waited = True

    def _end_opening(self) -> None:
        ramp, self._ramp = self._ramp, None
        if ramp is not None:
            ramp.leave()


class _Socket(Protocol):
    async def aclose(self) -> None: ...


@runtime_checkable
class _Stream(Protocol):
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class _LaneStream(httpx.AsyncByteStream):
    """Pass a body on; when it is closed, give the lane back if all of it came, else not."""

    def __init__(
        self,
        stream: _Stream,
        lane: _Lane,
        give_back: Callable[[_Lane], None],
    ) -> None:
        self._stream = stream
        self._lane: _Lane | None = lane
        self._give_back = give_back
        self._complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                yield piece
        except tuple(_ERRORS) as error:
            raise _ERRORS[type(error)](str(error)) from error
        self._complete = True

    async def aclose(self) -> None:
        lane, self._lane = self._lane, None
        if lane is None:
            return
        if not self._complete:
            await lane.throw_away()
            return
        try:
            await self._stream.aclose()
        except BaseException:
            await lane.throw_away()
            raise
        self._give_back(lane)


def _tls_context() -> ssl.SSLContext:
    # Not `ssl.create_default_context`, which opens the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context
