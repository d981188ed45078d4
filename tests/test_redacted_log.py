"""Log redaction: records of our requests have no secret, those of others are unchanged."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore
import httpx
import pytest
from pages import KEY, PHONE

from aioburki import BurkiClient, BurkiError
from aioburki._http.redacted_log import LOGGERS, RedactedHttpLog, redact_http_logs

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

OTHER = "key-of-another-api"

ANSWERS = {
    "reason": "HTTP/1.1 500 {echo}\r\ncontent-length: 0\r\n\r\n",
    "header": "HTTP/1.1 500 X\r\nx-echo: {echo}\r\ncontent-length: 0\r\n\r\n",
    "length": "HTTP/1.1 500 X\r\ncontent-length: {echo}\r\n\r\n",
    "chunk": "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n{echo}\r\n",
    "banner": "220 {echo}\r\n",
    "body": "HTTP/1.1 500 X\r\ncontent-length: {length}\r\n\r\n{echo}",
}


@asynccontextmanager
async def echoing(kind: str) -> AsyncIterator[str]:
    """Serve each request's Authorization, and a phone number, at the place that *kind* names."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line for line in head.splitlines() if line.lower().startswith("authorization"))
        echo = f"{key.partition(' ')[2]} {PHONE if KEY in key else ''}".strip()
        writer.write(ANSWERS[kind].format(echo=echo, length=len(echo)).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def lines(caplog: pytest.LogCaptureFixture, *names: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith(names)]


@pytest.mark.parametrize("is_default", [True, False])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_echoed_secrets_are_in_no_line(
    kind: str, is_default: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a server echoes key and number, no logger at DEBUG shows them."""
    caplog.set_level(logging.DEBUG)
    async with echoing(kind) as url, httpx.AsyncClient() as http:
        client = None if is_default else http
        async with BurkiClient(KEY, base_url=url, attempts=1, http_client=client) as burki:
            with pytest.raises(BurkiError):
                await burki.contacts(42)
    text = "\n".join(lines(caplog, ""))
    assert KEY not in text
    assert PHONE not in text
    if is_default:
        has_response = kind in ("reason", "header", "chunk", "body")
        assert len(lines(caplog, *LOGGERS)) == has_response
    else:
        assert "receive_response_headers.started" in lines(caplog, "httpcore.http11")


async def test_default_client_logs_method_url_and_status(caplog: pytest.LogCaptureFixture) -> None:
    """A request of the default client is logged by httpx without its query and reason phrase."""
    async with echoing("reason") as url:
        async with BurkiClient(KEY, base_url=url, attempts=1) as burki:
            with pytest.raises(BurkiError):
                await burki.contacts(42)
    line = f"HTTP Request: GET {url}/api/v1/campaigns/42/contacts 500"
    assert lines(caplog, *LOGGERS) == [line]


async def test_what_can_hold_no_secret_stays(caplog: pytest.LogCaptureFixture) -> None:
    """The names of httpcore's steps, and the line of httpx, are still logged."""
    caplog.set_level(logging.DEBUG)
    async with echoing("reason") as url, httpx.AsyncClient() as http:
        async with BurkiClient(KEY, base_url=url, attempts=1, http_client=http) as burki:
            with pytest.raises(BurkiError):
                await burki.contacts(42)
    line = f"HTTP Request: GET {url}/api/v1/campaigns/42/contacts 500"
    assert lines(caplog, "httpx") == [line]
    steps = lines(caplog, "httpcore")
    assert steps[:2] == ["connect_tcp.started", "connect_tcp.complete"]
    assert "receive_response_headers.complete" in steps


async def test_other_peoples_requests_are_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """The application's own requests are logged in full, also during one of ours."""
    caplog.set_level(logging.DEBUG)
    headers = {"authorization": OTHER}
    async with echoing("reason") as url, httpx.AsyncClient(headers=headers) as other:

        async def respond(_: httpx.Request) -> httpx.Response:
            asked.set()
            await answered.wait()
            return httpx.Response(401)

        asked, answered = asyncio.Event(), asyncio.Event()
        async with BurkiClient(KEY, transport=httpx.MockTransport(respond)) as burki:
            pull = asyncio.ensure_future(burki.contacts(42))
            await asked.wait()
            await other.get(f"{url}/x?y=1")
            answered.set()
            with pytest.raises(BurkiError):
                await pull
            await other.get(f"{url}/after")
    full = [line for line in lines(caplog, "httpx") if OTHER in line]
    assert full == [
        f'HTTP Request: GET {url}/{path} "HTTP/1.1 500 {OTHER}"' for path in ("x?y=1", "after")
    ]
    assert any(f"b'{OTHER}'" in line for line in lines(caplog, "httpcore.http11"))


async def test_tasks_that_outlive_an_attempt_log_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """A task that a transport starts during an attempt is redacted only until the attempt ends."""
    caplog.set_level(logging.DEBUG)
    over = asyncio.Event()

    async def log_twice() -> None:
        logging.getLogger("httpcore.http11").debug(OTHER)
        await over.wait()
        logging.getLogger("httpcore.http11").debug(OTHER)

    with RedactedHttpLog():
        task = asyncio.create_task(log_twice())
        await asyncio.sleep(0)
    over.set()
    await task
    assert lines(caplog, "httpcore") == ["withheld: it may contain what the server echoes", OTHER]


@pytest.mark.parametrize("name", LOGGERS)
async def test_lines_of_another_shape_are_withheld(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A record of an unknown form is withheld, and so is its traceback."""
    caplog.set_level(logging.DEBUG)
    redact_http_logs()
    with RedactedHttpLog():
        failure = (ValueError, ValueError(KEY), None)
        logging.getLogger(name).error("Evicting %s", KEY, exc_info=failure)
        logging.getLogger(name).debug({"authorization": KEY})
    assert lines(caplog, name) == ["withheld: it may contain what the server echoes"] * 2
    assert KEY not in caplog.text


async def test_every_logger_is_known() -> None:
    """Every logger that httpx and httpcore use has the filter."""
    used: set[str] = set()
    for package in (httpx, httpcore):
        for module in Path(package.__path__[0]).rglob("*.py"):
            source = module.read_text(encoding="utf-8")
            used |= set(re.findall(r"getLogger\((.*?)\)", source))
    names = {name.strip("\"'") for name in used}
    assert {"httpx", "httpcore.http11"} <= names <= set(LOGGERS)


async def test_clients_do_not_add_up() -> None:
    """However many clients are made, each logger has the filter once."""
    BurkiClient(KEY)
    before = [len(logging.getLogger(name).filters) for name in LOGGERS]
    BurkiClient(KEY)
    assert [len(logging.getLogger(name).filters) for name in LOGGERS] == before


async def test_errors_pass_through() -> None:
    """An error inside the context manager is raised unchanged."""
    error = ValueError("x")
    with pytest.raises(ValueError, match="x") as caught, RedactedHttpLog():
        raise error
    assert caught.value is error
