"""Lanes: one connection for each request in flight, thrown away after any unclean exit.

The only place that knows httpx transports. httpx's own pool takes time quadratic in its
connections and loses a slot for good when a request is cancelled in it; a pool of one
connection that nobody shares can do neither.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import anyio
import httpx

# Servers commonly close an idle connection after 5 s; reusing one they are about to close
# costs a failed request.
KEEPALIVE_SECONDS = 4.0
CLOSING_SECONDS = 1.0

# Names are looked up by a handful of threads: fifty connections opened at once would spend
# their time for connecting in that queue.
MOST_OPENING = 4

ONE_CONNECTION = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
)


class LaneTransport(httpx.AsyncBaseTransport):
    """Send each request over a lane of its own, the one used last first.

    Opens as many lanes as there are requests in flight, a few at a time; whoever sends bounds
    those. Proxies, certificates and netrc of the environment are not used, and TLS keys are
    never logged.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Lane] = []
        self._ramp = _Ramp()
        self._reading = anyio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response, whose stream gives the lane back.

        Raises:
            httpx.TransportError: the connection failed.
            RuntimeError: another event loop uses this transport.
        """
        self._enter_loop()
        lane = await self._take_lane()
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
        response.stream = _LaneStream(response.stream, lane, self._give_back)
        return response

    async def aclose(self) -> None:
        """Close the idle lanes; those in use close with their responses.

        A cancellation meanwhile is passed on afterwards, not before.
        """
        self._enter_loop()
        await self._throw_away_idle(math.inf)

    async def _take_lane(self) -> _Lane:
        """Return the lane used last that still serves, or a new one when its turn has come."""
        context = await self._tls()
        while True:
            if self._idle:
                lane = self._idle.pop()
                if lane.is_fresh():
                    return lane
                await lane.throw_away()
            elif self._ramp.has_room:
                return _Lane(context, self._ramp)
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
        self._ramp = _Ramp()
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


class _Ramp:
    """Bound how many connections are being opened, and wake whoever waits for a lane."""

    def __init__(self) -> None:
        self._opening = 0
        self._waiting = 0
        self._calls = anyio.Semaphore(0)

    @property
    def has_room(self) -> bool:
        return self._opening < MOST_OPENING

    def enter(self) -> None:
        self._opening += 1

    def leave(self) -> None:
        self._opening -= 1
        self.wake()

    def wake(self) -> None:
        if self._waiting:
            self._calls.release()

    async def wait(self) -> None:
        self._waiting += 1
        try:
            await self._calls.acquire()  # one that is cancelled when called calls the next
        finally:
            self._waiting -= 1


class _Lane:
    """One connection, opened when the first request is sent."""

    def __init__(self, context: ssl.SSLContext, ramp: _Ramp) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, limits=ONE_CONNECTION, retries=0
        )
        self._socket: _Socket | None = None
        self._ramp: _Ramp | None = ramp  # while the connection is being opened
        self.rests_since = 0.0
        self._has_waited = False
        ramp.enter()

    def is_fresh(self) -> bool:
        """Tell whether the connection may serve again: neither expired, nor closed, nor talking.

        httpx would notice too, but then open another connection without waiting for its turn.
        """
        has_expired = time.monotonic() - self.rests_since > KEEPALIVE_SECONDS
        # There is no socket where a test has put something else in the place of httpcore.
        is_readable = self._socket is not None and self._socket.get_extra_info("is_readable")
        return not (has_expired or is_readable)

    async def send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": self._follow}
        try:
            return await self._transport.handle_async_request(request)
        finally:
            self._end_opening()

    def rest(self) -> None:
        """Begin to wait for the next request."""
        self.rests_since = time.monotonic()

    async def throw_away(self) -> None:
        # The socket is told to close before the first point where this can be interrupted.
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            await self._transport.aclose()
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
    def get_extra_info(self, info: str) -> Any: ...


class _LaneStream(httpx.AsyncByteStream):
    """Pass a body on; when it is closed, give the lane back if all of it came, else not."""

    def __init__(
        self,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        lane: _Lane,
        give_back: Callable[[_Lane], None],
    ) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self._lane: _Lane | None = lane
        self._give_back = give_back
        self._complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece
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
    context = httpx.create_ssl_context(trust_env=False)
    # Python takes a file for the keys from SSLKEYLOGFILE; typeshed does not know that None
    # closes it.
    context.keylog_filename = None  # type: ignore[assignment]
    return context
