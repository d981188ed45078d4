"""nginx with a limit that it does not announce, before pages of a list, over real HTTP.

It must be installed (tried with 1.22). Pages come from a backend in this process, so that they can
take longer than refusals.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from pages import body, page

PAGE_NUMBER = re.compile(rb"[?&]page=(\d+)")
CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000;
  limit_req_zone $binary_remote_addr zone=requests:1m rate={shape.rate}r/s;
  limit_conn_zone $binary_remote_addr zone=connections:1m;
  limit_req_status {shape.status};
  limit_conn_status {shape.status};
  upstream backend {{
    server 127.0.0.1:{backend};
    keepalive 256;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {shape.directive};
      {late_refusal}
      proxy_pass http://backend;
    }}
    location @late_refusal {{
      rewrite ^ /refusal break;
      proxy_pass http://backend;
    }}
  }}
}}
"""


@attrs.frozen
class Shape:
    """One kind of limit, and pages and refusals that take so many seconds.

    *connections* limits requests in progress instead of requests per second.
    """

    rate: int
    burst: int = 10
    in_flight: int = 8
    page_seconds: float = 0.0
    is_refusal_late: bool = False
    status: int = 429
    is_delaying: bool = False
    connections: int = 0

    @property
    def directive(self) -> str:
        """The directive of nginx that sets the limit."""
        if self.connections:
            return f"limit_conn connections {self.connections}"
        return f"limit_req zone=requests burst={self.burst}{'' if self.is_delaying else ' nodelay'}"

    @property
    def possible(self) -> float:
        """Requests per second that the limit and the requests in flight allow."""
        slots = self.connections or self.in_flight
        by_slots = slots / self.page_seconds if self.page_seconds else float("inf")
        return by_slots if self.connections else min(self.rate, by_slots)

    def __str__(self) -> str:
        limit = f"{self.rate}/s, burst {self.burst}{', delaying' if self.is_delaying else ''}"
        if self.connections:
            limit = f"{self.connections} connections"
        refusal = ", refusal as late" if self.is_refusal_late else ""
        pages = f", page {self.page_seconds:g} s{refusal}" if self.page_seconds else ""
        return f"{limit}, {self.status}{pages}, {self.in_flight} in flight"


@asynccontextmanager
async def nginx(shape: Shape, pages: int) -> AsyncIterator[str]:
    """Serve *pages* pages of one contact behind *shape*; yield the base URL."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("nginx is not installed")
    backend = await asyncio.start_server(_Backend(shape, pages), "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        configuration = folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                port=port,
                backend=backend.sockets[0].getsockname()[1],
                shape=shape,
                late_refusal=f"error_page {shape.status} = @late_refusal;"
                if shape.is_refusal_late
                else "",
            )
        )
        process = await asyncio.create_subprocess_exec(program, "-c", configuration, "-p", folder)
        try:
            await _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.wait()
            backend.close()


@attrs.frozen
class _Backend:
    """The server behind nginx: pages, and the refusals that come as late as a page."""

    shape: Shape
    pages: int

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.shape.page_seconds)
                writer.write(self._response(head.partition(b"\r\n")[0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _response(self, request_line: bytes) -> bytes:
        number = PAGE_NUMBER.search(request_line)
        status, content = b"%d Refused" % self.shape.status, b""
        if number is not None and b"/refusal" not in request_line:
            status, content = b"200 OK", body(page(int(number[1]), 1, range(self.pages)))
        return (
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        ) % (status, len(content), content)


async def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)  # nginx does not say when it accepts connections
        else:
            writer.close()
            return
    sys.exit("nginx did not accept connections within 5 s")
