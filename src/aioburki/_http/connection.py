"""Connection: HTTP/1.1 over one network stream, one request after another.

h11 parses, as in httpcore. httpcore's own connection takes about twice the time, because it
supports locking, tracing and protocol upgrades, none of which is needed here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable

import h11
import httpcore

from .network import NetworkStream, connect
from .send_observer import observer_of

# Bytes of a status line with its headers, or of a chunk's header.
MAX_HEAD = 100 * 1024

# What every response begins with.
START = b"HTTP/1."

# A page takes five events. A body in chunks of one byte takes tens of thousands, which may all be
# in one piece from the socket. After this many, a few milliseconds' work, other tasks run and the
# timeout can take effect.
EVENTS_PER_TURN = 200


class Connection(httpcore.AsyncConnectionInterface):
    """An HTTP/1.1 connection to *origin* for requests without a body.

    A response must be read to its end before the next request is sent. After a response that was
    not, and after any error, the connection cannot be used any more and must be closed.

    Args:
        origin: the server.
        context: for TLS; used if *origin* is https.
        looked_up: called once when the name of *origin* has been looked up.
    """

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, looked_up: Callable[[], None]
    ) -> None:
        self._origin = origin
        self._context = context
        self._looked_up = looked_up
        self._stream: NetworkStream | None = None
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._checked: list[tuple[bytes, bytes]] = []
        self._last: h11.Request | None = None
        self._is_idle = False
        self._events = 0

    def is_available(self) -> bool:
        """Return whether the last response was read to its end and nothing has come since."""
        return self._is_idle and self._stream is not None and self._stream.is_silent

    def info(self) -> str:
        """Return the state, as `repr` of `httpcore.AsyncHTTPConnection` shows it."""
        return f"HTTP/1.1, {'idle' if self._is_idle else 'not idle'}"

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request*, which has no body, and return the response; its stream is the body.

        Opens the connection if it is the first request. Connecting and the TLS handshake may each
        take ``request.extensions["timeout"]["connect"]`` seconds; there are no other timeouts.

        Raises:
            httpcore.ConnectError: the server cannot be reached, or its certificate is refused.
            httpcore.ConnectTimeout: connecting or the TLS handshake took too long.
            httpcore.ReadError: the connection broke, or was closed on this side.
            httpcore.WriteError: the server has closed the connection.
            httpcore.LocalProtocolError: *request* is not valid HTTP.
            httpcore.RemoteProtocolError: the response is not valid HTTP or not complete.
        """
        self._is_idle = False
        if self._stream is None:
            timeouts, observer = request.extensions.get("timeout", {}), observer_of(request)
            observer.record_wait()
            self._stream = await self._open(timeouts.get("connect"))
            observer.record_sent()
        self._stream.write(self._head(request))
        while isinstance(event := await self._next_event(), h11.InformationalResponse):
            pass
        assert isinstance(event, h11.Response)
        return httpcore.Response(
            event.status_code,
            headers=event.headers.raw_items(),
            content=self._body(),
            extensions={
                "http_version": b"HTTP/" + event.http_version,
                "reason_phrase": event.reason,
            },
        )

    def close(self) -> None:
        """Close the connection, whatever it is doing; the socket is closed by the event loop."""
        self._is_idle = False
        if self._stream is not None:
            self._stream.close()

    async def _open(self, seconds: float | None) -> NetworkStream:
        origin = self._origin
        self._stream = await connect(origin.host, origin.port, seconds, self._looked_up)
        if origin.scheme == b"https":
            await self._stream.start_tls(self._context, origin.host.decode(), seconds)
        return self._stream

    def _head(self, request: httpcore.Request) -> bytes:
        try:
            head = self._protocol.send(self._event(request))
        except h11.LocalProtocolError as error:
            raise httpcore.LocalProtocolError(str(error)) from error
        self._protocol.send(h11.EndOfMessage())
        assert head is not None
        return head

    def _event(self, request: httpcore.Request) -> h11.Request:
        method, target = request.method, request.url.target
        if self._last is None or request.headers != self._checked:
            self._last = h11.Request(method=method, target=target, headers=request.headers)
            self._checked = list(request.headers)
        else:  # equal to those before, which h11 has checked; checking takes longer than comparing
            self._last = h11.Request(method=method, target=target, headers=self._last.headers)
        return self._last

    async def _body(self) -> AsyncGenerator[bytes]:
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)
        protocol = self._protocol
        # Bytes after the end of the body would be taken for the next response.
        if protocol.their_state is h11.DONE and not protocol.trailing_data[0]:
            protocol.start_next_cycle()
            self._is_idle = True
        else:
            self.close()

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        assert self._stream is not None
        self._events += 1
        if self._events % EVENTS_PER_TURN == 0:
            await asyncio.sleep(0)
        while True:
            if self._stream.is_closed:  # bytes that h11 still has are not read any more
                raise httpcore.ReadError("the connection was closed on this side")
            try:
                event = self._protocol.next_event()
                if event is h11.NEED_DATA:
                    self._check_start()
            except h11.RemoteProtocolError as error:
                raise httpcore.RemoteProtocolError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            data = await self._stream.read()
            if not data and self._protocol.their_state is h11.SEND_RESPONSE:
                raise httpcore.RemoteProtocolError("the server closed without a response")
            self._protocol.receive_data(data)

    def _check_start(self) -> None:
        """Raise h11.RemoteProtocolError if what has come of the response does not begin as HTTP.

        h11 says so only when a blank line has come, which other protocols may not send.
        """
        if self._protocol.their_state is not h11.SEND_RESPONSE:
            return
        start = self._protocol.trailing_data[0][: len(START)]
        if not START.startswith(start):
            raise h11.RemoteProtocolError("the response does not begin as HTTP")
