"""Sandbox server: the sandbox over HTTP, on loopback only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import uvicorn

from ._response import SandboxResponse
from ._server import Sandbox

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def asgi_app(sandbox: Sandbox) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """Return *sandbox* as an ASGI application; it ignores every scope but ``http``."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        query = scope["query_string"].decode("latin-1")
        response = await sandbox.answer(scope["method"], scope["path"], query, headers)
        await _send(response, receive, send)

    return app


async def _send(response: SandboxResponse, receive: Receive, send: Send) -> None:
    """Send *response*, or as much of it as its fault allows."""
    headers = {**response.headers, "content-length": str(len(response.body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    if response.fault == "timeout":
        await _wait_for_disconnect(receive)
        return
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    # An ASGI server closes the connection of an application that returns before the response is
    # complete. An accepted connection cannot fail to connect, so that fault ends in the same way.
    if response.fault in ("connect", "disconnect", "reset"):
        return
    body = response.half_body if response.fault else response.body
    more = response.fault is not None
    await send({"type": "http.response.body", "body": body, "more_body": more})
    if response.fault == "stall":
        await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def serve_http(sandbox: Sandbox, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve *sandbox* on 127.0.0.1; see `aioburki.sandbox.serve`."""
    with _listener(port) as listener:
        config = uvicorn.Config(
            asgi_app(sandbox),
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="critical",
            server_header=False,
        )
        server = uvicorn.Server(config)
        on_ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            await server.serve(sockets=[listener])
        finally:
            await _stop(server, listener)


async def _stop(server: uvicorn.Server, listener: socket.socket) -> None:
    """Stop accepting connections and end those that are open: uvicorn does not if cancelled."""
    # If it was cancelled while it started, the `asyncio.Server` is lost. The event loop would go on
    # watching the file descriptor of the listener, and ignore the next one that has the same.
    with suppress(NotImplementedError, ValueError):  # on Windows; if it is closed already
        asyncio.get_running_loop().remove_reader(listener)
    for each in getattr(server, "servers", ()):
        each.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _listener(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY on accepted connections only if the listener names the protocol.
    # Without it each response of two writes waits 40 ms for a delayed ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener
