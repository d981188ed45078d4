"""The wire log: of our exchanges it holds no secret, of others it holds all."""

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

OTHER = "said-to-somebody-else"

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
    """Serve what each request has as its Authorization, and a phone number, where *kind* says."""

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


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_echoed_secrets_are_in_no_line(
    kind: str, is_ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a server echoes key and number, no logger at DEBUG shows them."""
    caplog.set_level(logging.DEBUG)
    async with echoing(kind) as url, httpx.AsyncClient() as http:
        client = None if is_ours else http
        async with BurkiClient(KEY, base_url=url, attempts=1, http_client=client) as burki:
            with pytest.raises(BurkiError):
                await burki.contacts(42)
    text = "\n".join(lines(caplog, ""))
    assert KEY not in text
    assert PHONE not in text
    if is_ours:
        assert lines(caplog, *LOGGERS) == []
    else:
        assert "receive_response_headers.started" in lines(caplog, "httpcore.http11")


async def test_what_can_hold_no_secret_stays(caplog: pytest.LogCaptureFixture) -> None:
    """The steps of an exchange of a user's client are logged still, and what it says of it."""
    caplog.set_level(logging.DEBUG)
    async with echoing("reason") as url, httpx.AsyncClient() as http:
        async with BurkiClient(KEY, base_url=url, attempts=1, http_client=http) as burki:
            with pytest.raises(BurkiError):
                await burki.contacts(42)
    said = f"HTTP Request: GET {url}/api/v1/campaigns/42/contacts 500"
    assert lines(caplog, "httpx") == [said]
    steps = lines(caplog, "httpcore")
    assert steps[:2] == ["connect_tcp.started", "connect_tcp.complete"]
    assert "receive_response_headers.complete" in steps


async def test_other_peoples_requests_are_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """The application's own httpx keeps its lines, also while an exchange of ours runs."""
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


async def test_tasks_that_outlive_an_exchange_log_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """What somebody's transport starts during an exchange is cut only as long as that runs."""
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
    assert lines(caplog, "httpcore") == ["withheld: it may hold what the server echoes", OTHER]


@pytest.mark.parametrize("name", LOGGERS)
async def test_lines_of_another_shape_are_withheld(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A line that a later version words differently is not passed on; nor is its traceback."""
    caplog.set_level(logging.DEBUG)
    redact_http_logs()
    with RedactedHttpLog():
        failure = (ValueError, ValueError(KEY), None)
        logging.getLogger(name).error("Evicting %s", KEY, exc_info=failure)
        logging.getLogger(name).debug({"authorization": KEY})
    assert lines(caplog, name) == ["withheld: it may hold what the server echoes"] * 2
    assert KEY not in caplog.text


async def test_every_logger_is_known() -> None:
    """Of httpx and httpcore no module logs under a name that is not cut."""
    used: set[str] = set()
    for package in (httpx, httpcore):
        for module in Path(package.__path__[0]).rglob("*.py"):
            source = module.read_text(encoding="utf-8")
            used |= set(re.findall(r"getLogger\((.*?)\)", source))
    names = {name.strip("\"'") for name in used}
    assert {"httpx", "httpcore.http11"} <= names <= set(LOGGERS)


async def test_clients_do_not_add_up() -> None:
    """However many clients are made, each logger is filtered once."""
    BurkiClient(KEY)
    before = [len(logging.getLogger(name).filters) for name in LOGGERS]
    BurkiClient(KEY)
    assert [len(logging.getLogger(name).filters) for name in LOGGERS] == before


async def test_exchange_swallows_nothing() -> None:
    """An error leaves an exchange as it is, and what follows is logged in full."""
    error = ValueError("x")
    with pytest.raises(ValueError, match="x") as caught, RedactedHttpLog():
        raise error
    assert caught.value is error
