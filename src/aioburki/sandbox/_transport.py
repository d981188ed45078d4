"""Sandbox transport: the sandbox behind httpx, in process, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import anyio
import httpx

from ._response import SandboxResponse

Answer = Callable[[str, str, str, Mapping[str, str]], Awaitable[SandboxResponse]]


class SandboxTransport(httpx.AsyncBaseTransport):
    """Pass requests to *answer*; raise the httpx errors that its faults would cause."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response, or raise the error of its fault."""
        url = request.url
        response = await self._answer(request.method, url.path, url.query.decode(), request.headers)
        match response.fault:
            case "connect":
                raise httpx.ConnectError("sandbox: no connection", request=request)
            case "disconnect":
                raise httpx.RemoteProtocolError("sandbox: server disconnected", request=request)
            case "reset":
                raise httpx.ReadError("sandbox: connection reset", request=request)
            case "timeout":
                await anyio.sleep_forever()
            case _:
                pass
        body = _HalfBody(response) if response.fault else httpx.ByteStream(response.body)
        return httpx.Response(response.status, headers=response.headers, stream=body)


class _HalfBody(httpx.AsyncByteStream):
    """Half of a body, then an error; with the fault ``stall`` nothing more, without an end."""

    def __init__(self, response: SandboxResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._response.half_body
        if self._response.fault == "stall":
            await anyio.sleep_forever()
        raise httpx.ReadError("sandbox: connection lost")
