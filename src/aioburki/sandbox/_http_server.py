"""Sandbox server: the sandbox over real HTTP, on loopback alone."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from ._response import Answer
from ._server import Sandbox

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def asgi_app(sandbox: Sandbox) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """Return the sandbox as an ASGI application for HTTP."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        query = scope["query_string"].decode("latin-1")
        answer = await sandbox.answer(scope["method"], scope["path"], query, headers)
        await _send(answer, receive, send)

    return app


async def _send(answer: Answer, receive: Receive, send: Send) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    if answer.fault == "timeout":
        await _outwait(receive)
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    # A server closes the connection of an application that ends before its answer does; a
    # fault in connecting cannot be had once a connection is there, so it ends like the others.
    if answer.fault in ("connect", "disconnect", "reset"):
        return
    body = answer.body[: len(answer.body) // 2] if answer.fault else answer.body
    more = answer.fault is not None
    await send({"type": "http.response.body", "body": body, "more_body": more})
    if answer.fault == "stall":
        await _outwait(receive)


async def _outwait(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def serve_http(sandbox: Sandbox, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve *sandbox* on 127.0.0.1 until interrupted; *on_ready* gets the URL.

    Args:
        sandbox: what answers.
        port: TCP port; 0 for any that is free.
        on_ready: called once, when connections are accepted.

    Raises:
        OSError: the port is taken.
    """
    with _listener(port) as listener:
        config = uvicorn.Config(
            asgi_app(sandbox),
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="critical",
            server_header=False,
        )
        on_ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
        await uvicorn.Server(config).serve(sockets=[listener])


def _listener(port: int) -> socket.socket:
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, every
    # answer of two writes waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener
