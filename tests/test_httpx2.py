"""httpx2, the fork of httpx: its parts are refused by name, and its loggers are redacted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
import pytest
from pages import KEY

from aioburki import BurkiClient, ConfigurationError
from aioburki._http.redacted_log import LOGGERS

# After `alias_httpx` the package uses httpx2 throughout; a process of its own is needed for that.
ALIASED = """
import httpx2
httpx2.alias_httpx()
import asyncio, logging, sys
import httpx
from aioburki import BurkiClient, BurkiError

KEY = sys.argv[1]

async def answer(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    assert f"Bearer {KEY}" in head
    echo = f"HTTP/1.1 500 {KEY}\\r\\nx-echo: {KEY}\\r\\ncontent-length: 0\\r\\n\\r\\n"
    writer.write(echo.encode())
    await writer.drain()
    writer.close()

async def main():
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient() as http:
        for options in ({}, {"trust_env": True}, {"http_client": http}):
            async with BurkiClient(KEY, base_url=url, attempts=1, **options) as burki:
                try:
                    await burki.contacts(42)
                except BurkiError as error:
                    print(type(error).__name__)
    server.close()

asyncio.run(main())
"""


class OwnTransport(httpx2.AsyncBaseTransport):
    """A user's transport over httpx2."""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"http_client": httpx2.AsyncClient()}, "AsyncClient"),
        ({"http_client": httpx2.Client()}, "Client"),
        ({"transport": httpx2.MockTransport(lambda _: httpx2.Response(200))}, "MockTransport"),
        ({"transport": OwnTransport()}, "OwnTransport"),
    ],
)
def test_parts_of_httpx2_are_refused_with_the_right_package(
    arguments: dict[str, Any], name: str
) -> None:
    """A client or transport of httpx2 is refused with where to take it from."""
    message = f"not {name}, which is httpx2's: take it from the package httpx, or call httpx2.alias"
    with pytest.raises(ConfigurationError, match=message):
        BurkiClient(KEY, **arguments)


def test_log_of_httpx2_in_the_place_of_httpx_is_redacted() -> None:
    """After `httpx2.alias_httpx()` requests work, and no logger shows what a server echoes."""
    done = subprocess.run(
        [sys.executable, "-c", ALIASED, KEY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    assert done.stdout.splitlines().count("ServerError") == 3
    lines = [line for line in done.stdout.splitlines() if line.startswith("INFO:httpx2:")]
    assert len(lines) == 3
    assert all(line.endswith("/api/v1/campaigns/42/contacts 500") for line in lines)
    assert "DEBUG:httpcore2.http11:receive_response_headers.complete" in done.stdout


def test_every_logger_of_httpx2_is_known() -> None:
    """Every logger that httpx2 and httpcore2 use has the filter."""
    used: set[str] = set()
    for package in (httpx2, httpcore2):
        for module in Path(package.__path__[0]).rglob("*.py"):
            used |= set(re.findall(r"getLogger\((.*?)\)", module.read_text(encoding="utf-8")))
    names = {name.strip("\"'") for name in used}
    assert {"httpx2", "httpcore2.http11"} <= names <= set(LOGGERS)
