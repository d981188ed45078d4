"""Lanes: one connection for each request in flight, thrown away after any unclean exit.

The only place that knows httpx transports. httpx's own pool takes time quadratic in its
connections and loses a slot for good when a request is cancelled in it; a pool of one
connection that nobody shares can do neither.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import anyio
import httpx

# Servers commonly close an idle connection after 5 s; reusing one they are about to close
# costs a failed request.
KEEPALIVE_SECONDS = 4.0
CLOSING_SECONDS = 1.0

ONE_CONNECTION = httpx.Limits(
    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
)


class LaneTransport(httpx.AsyncBaseTransport):
    """Send each request over a lane of its own, the one used last first.

    Opens as many lanes as there are requests in flight; whoever sends bounds those. Proxies,
    certificates and netrc of the environment are not used, and TLS keys are never logged.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Lane] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and return the response, whose stream gives the lane back.

        Raises:
            httpx.TransportError: the connection failed.
            RuntimeError: another event loop uses this transport.
        """
        self._enter_loop()
        lane = self._idle.pop() if self._idle else _Lane(await self._tls())
        try:
            response = await lane.send(request)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # What befell this connection has befallen those that rest, if a server restarts:
            # a retry over another of them would only find that out again.
            await lane.throw_away()
            await self._throw_away_idle()
            raise
        except BaseException:
            await lane.throw_away()
            raise
        response.stream = _LaneStream(response.stream, lane, self._idle)
        return response

    async def aclose(self) -> None:
        """Close the idle lanes; those in use close with their responses.

        A cancellation meanwhile is passed on afterwards, not before.
        """
        self._enter_loop()
        await self._throw_away_idle()

    async def _throw_away_idle(self) -> None:
        interruption: asyncio.CancelledError | None = None
        while self._idle:
            try:
                await self._idle.pop().throw_away()
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

    async def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            # Reading the certificates takes some 20 ms, which the event loop is spared.
            self._context = await asyncio.to_thread(_tls_context)
        return self._context


class _Lane:
    """One connection, opened when the first request is sent and again when it has expired."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=context, trust_env=False, limits=ONE_CONNECTION, retries=0
        )
        self._socket: _Closable | None = None

    async def send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": self._note_socket}
        return await self._transport.handle_async_request(request)

    async def throw_away(self) -> None:
        # The socket is told to close before the first point where this can be interrupted.
        with anyio.move_on_after(CLOSING_SECONDS, shield=True):
            await self._transport.aclose()
            if self._socket is not None:
                await self._socket.aclose()

    async def _note_socket(self, event: str, info: Mapping[str, Any]) -> None:
        # httpcore forgets a socket whose TLS handshake is cancelled, and leaves it open.
        if event == "connection.connect_tcp.complete":
            self._socket = info["return_value"]


class _Closable(Protocol):
    async def aclose(self) -> None: ...


class _LaneStream(httpx.AsyncByteStream):
    """Pass a body on; when it is closed, give the lane back if all of it came, else not."""

    def __init__(
        self,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        lane: _Lane,
        idle: list[_Lane],
    ) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self._lane: _Lane | None = lane
        self._idle = idle
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
        self._idle.append(lane)


def _tls_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    # Python takes a file for the keys from SSLKEYLOGFILE; typeshed does not know that None
    # closes it.
    context.keylog_filename = None  # type: ignore[assignment]
    return context
