"""An HTTP proxy on asyncio streams: it tunnels CONNECT requests, or refuses them with a status."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs


@attrs.define
class ConnectProxy:
    """The proxy: how it answers, and what it has seen.

    Attributes:
        status: what it answers to CONNECT; 200 tunnels.
        password: user name and password that it asks for, as ``name:password``.
        reason: the reason phrase of its responses.
        port: where it listens.
        targets: the host and port of each CONNECT request.
    """

    status: int = 200
    password: str | None = None
    reason: str = "Reason"
    port: int = 0
    targets: list[str] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """The address, with user name and password if it asks for them."""
        login = "" if self.password is None else f"{self.password}@"
        return f"http://{login}127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        self.targets.append(target)
        status = self.status if self._is_allowed(head) else 407
        length = "" if status == 200 else "content-length: 0\r\n"
        writer.write(f"HTTP/1.1 {status} {self.reason}\r\n{length}\r\n".encode())
        if status != 200:
            await writer.drain()
            return
        host, _, port = target.rpartition(":")
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        finally:
            server_writer.close()

    def _is_allowed(self, head: str) -> bool:
        if self.password is None:
            return True
        return f"Basic {base64.b64encode(self.password.encode()).decode()}" in head


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    with suppress(OSError):
        writer.close()


@asynccontextmanager
async def connect_proxy(
    status: int = 200, *, password: str | None = None, reason: str = "Reason"
) -> AsyncIterator[ConnectProxy]:
    """Serve a proxy on loopback."""
    proxy = ConnectProxy(status, password, reason)
    tasks_before = asyncio.all_tasks()
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        handlers = [
            task for task in asyncio.all_tasks() - tasks_before if "handle" in repr(task.get_coro())
        ]
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
