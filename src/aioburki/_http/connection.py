"""Connection: HTTP/1.1, one request after another, over one network stream.

h11 speaks it here as it does in httpcore, whose own connection takes about twice the time:
it may be shared, watched and upgraded, which nobody asks of this one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable

import h11
import httpcore

from .network import NetworkStream, connect

# Of a status line and headers, or of the size of a chunk.
MAX_HEAD = 100 * 1024

# A page is five events. A server that sends byte by byte makes tens of thousands of a piece that
# came at once; others get their turn, and the deadline its time, after a few milliseconds of it.
EVENTS_IN_A_TURN = 200


class Connection(httpcore.AsyncConnectionInterface):
    """Send a request and read its answer, as often as the answers come to a clean end.

    It is of no further use after an answer that was not read to its end. Who sends gives each
    request its end first.

    Args:
        origin: where it leads.
        context: encrypts it, if *origin* wants that.
        opened: called when it is open, before anything is sent.
    """

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, opened: Callable[[], None]
    ) -> None:
        self._origin = origin
        self._context = context
        self._opened = opened
        self._stream: NetworkStream | None = None
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._headers: list[tuple[bytes, bytes]] = []
        self._last: h11.Request | None = None
        self._is_idle = False
        self._events = 0

    def is_available(self) -> bool:
        """Tell whether the last answer has ended well, and nothing has come since, nor an end."""
        return self._is_idle and self._stream is not None and not self._stream.has_unread

    def info(self) -> str:
        """Return what `repr` of what stands before it shows."""
        return f"HTTP/1.1, {'idle' if self._is_idle else 'not idle'}"

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send *request*, which has no body, and return the response, whose stream is its body.

        Opens the connection first, if need be; neither connecting nor encrypting takes more than
        ``extensions["timeout"]["connect"]`` seconds.

        Raises:
            httpcore.ConnectError: the server cannot be reached.
            httpcore.ConnectTimeout: it took too long.
            httpcore.ReadError: the connection broke.
            httpcore.WriteError: it is closed.
            httpcore.LocalProtocolError: *request* cannot be sent as HTTP.
            httpcore.RemoteProtocolError: what came is no HTTP, or is over before its end.
        """
        self._is_idle = False
        if self._stream is None:
            timeouts = request.extensions.get("timeout", {})
            self._stream = await self._open(timeouts.get("connect"))
            self._opened()
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
        """Close the connection in the next turn of the loop, whatever is under way in it."""
        self._is_idle = False
        if self._stream is not None:
            self._stream.close()

    async def _open(self, seconds: float | None) -> NetworkStream:
        origin = self._origin
        self._stream = await connect(origin.host, origin.port, seconds)
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
        if self._last is None or request.headers is not self._headers:
            self._last = h11.Request(method=method, target=target, headers=request.headers)
            self._headers = request.headers
        else:  # the very same list, which h11 need not check again
            self._last = h11.Request(method=method, target=target, headers=self._last.headers)
        return self._last

    async def _body(self) -> AsyncGenerator[bytes]:
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)
        protocol = self._protocol
        # What is left behind an answer would be taken for the next one.
        if protocol.their_state is h11.DONE and not protocol.trailing_data[0]:
            protocol.start_next_cycle()
            self._is_idle = True
        else:
            self.close()

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        assert self._stream is not None
        self._events += 1
        if self._events % EVENTS_IN_A_TURN == 0:
            await asyncio.sleep(0)
        while True:
            if self._stream.is_closed:  # what is left of the answer is of no use to anybody
                raise httpcore.ReadError("the connection was closed on this side")
            try:
                event = self._protocol.next_event()
            except h11.RemoteProtocolError as error:
                raise httpcore.RemoteProtocolError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            data = await self._stream.read()
            if not data and self._protocol.their_state is h11.SEND_RESPONSE:
                raise httpcore.RemoteProtocolError("the server closed without an answer")
            self._protocol.receive_data(data)
