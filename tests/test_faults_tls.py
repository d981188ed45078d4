"""TLS with real certificates: no byte of a request is sent before the handshake succeeded."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from faults import (
    CLOSE,
    RESET,
    STALL,
    TOTAL,
    FaultServer,
    Steps,
    json_response,
    page_response,
    send_raw,
)
from pages import KEY, body, page

from aioburki import BurkiClient, ConnectionFailedError, RequestTimeoutError
from aioburki._http import connection_pool
from aioburki._requests import sender

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

Files = dict[str, str]
EXPIRED = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Callable[..., Files]:
    """Issue certificates into files for the fault server."""

    def issue(name: str = "localhost", not_after: datetime | None = None) -> Files:
        issued = authority.issue_cert(name, not_after=not_after)
        files = {"certificate": f"{tmp_path}/{name}.pem", "key": f"{tmp_path}/{name}.key"}
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        Path(files["certificate"]).write_bytes(chain)
        issued.private_key_pem.write_to_path(files["key"])
        return files

    return issue


@pytest.fixture
def trusting(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients trust the authority."""
    make = connection_pool.load_tls_context

    def context() -> ssl.SSLContext:
        context = make()
        authority.configure_trust(context)
        return context

    monkeypatch.setattr(connection_pool, "load_tls_context", context)


async def test_unknown_authority_is_refused(
    faults: FaultServer, certificate: Callable[..., Files]
) -> None:
    """A self-signed certificate fails the pull at one attempt; no byte of the key was sent."""
    faults.listen(tls=certificate())
    await refused(faults)


@pytest.mark.usefixtures("trusting")
async def test_expired_certificate_is_refused(
    faults: FaultServer, certificate: Callable[..., Files]
) -> None:
    """An expired certificate fails the pull at one attempt; no byte of the key was sent."""
    faults.listen(tls=certificate(not_after=EXPIRED))
    await refused(faults)


@pytest.mark.usefixtures("trusting")
async def test_certificate_of_another_host_is_refused(
    faults: FaultServer, certificate: Callable[..., Files]
) -> None:
    """A certificate for another host fails the pull at one attempt; no byte of the key was sent."""
    faults.listen(tls=certificate("elsewhere.example"))
    await refused(faults)


async def test_authority_of_the_environment_is_not_trusted(
    faults: FaultServer,
    certificate: Callable[..., Files],
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SSL_CERT_FILE and SSL_CERT_DIR have no effect."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    faults.listen(tls=certificate())
    await refused(faults)


async def refused(faults: FaultServer) -> None:
    async with BurkiClient(KEY, base_url=faults.url) as burki:
        with pytest.raises(ConnectionFailedError, match="the TLS certificate of loc") as caught:
            await burki.contacts(42)
    assert caught.value.attempts == 1
    assert faults.connections_left() == 0
    seen = faults.state()
    assert seen["events"] == ["connect", "tls refused"]
    assert seen["heads"] == []
    assert "bytes" not in seen


@pytest.mark.usefixtures("trusting")
async def test_environment_is_not_used(
    faults: FaultServer,
    certificate: Callable[..., Files],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proxies, netrc and SSLKEYLOGFILE of the environment have no effect over TLS."""
    (tmp_path / "netrc").write_text("default login canary password canary\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        faults.listen(tls=certificate())
        async with BurkiClient(KEY, base_url=faults.url) as burki:
            assert len(await burki.contacts(42, per_page=10)) == TOTAL
        with pytest.raises(BlockingIOError):
            proxy.accept()
    for head in faults.state()["heads"]:
        assert head.lower().count("authorization:") == 1
        assert f"authorization: Bearer {KEY}\r\n".lower() in head.lower()
    assert not (tmp_path / "keys").exists()


BREAKING: dict[str, tuple[Steps, str]] = {
    "closed": (CLOSE, "close"),
    "reset": (RESET, "reset"),
    "cut": (send_raw("cut", page_response(2)[:400]), "cut"),
    "stalled": (STALL, "stall"),
    "banner": (send_raw("banner", "220 smtp.example ESMTP\r\n"), "banner"),
}


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("name", BREAKING)
async def test_broken_connections_cost_a_retry(
    faults: FaultServer, certificate: Callable[..., Files], name: str
) -> None:
    """A connection that breaks over TLS costs one retry."""
    steps, note = BREAKING[name]
    faults.listen({2: [steps]}, tls=certificate())
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1, timeout=1) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert [contact.id for contact in contacts] == list(range(1, TOTAL + 1))
    assert contacts.report.retries == 1
    assert faults.events == ["connect", "GET 1", "200", "GET 2", note, "connect", "GET 2", "200"]


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("how", ["at once", "in a record of its own", "a moment later"])
async def test_unsolicited_response_is_not_used(
    faults: FaultServer, certificate: Callable[..., Files], how: str
) -> None:
    """Bytes after a response are not taken for the next one, whenever they are decrypted."""
    stray = json_response(body(page(2, 10, range(101, 121))))
    pieces: dict[str, Steps] = {
        "at once": [["send", page_response(1) + stray]],
        "in a record of its own": [["send", page_response(1)], ["send", stray]],
        "a moment later": [["send", page_response(1)], ["sleep", 0.01], ["send", stray]],
    }
    faults.listen({1: [[["note", "200"], *pieces[how]]]}, tls=certificate())
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1) as burki:
        first = await burki.contacts(42, per_page=10).page(1)
        await asyncio.sleep(0.05)
        second = await burki.contacts(42, per_page=10).page(2)
    assert [contact.id for contact in (*first, *second)] == list(range(1, TOTAL + 1))
    assert faults.events[-3:] == ["connect", "GET 2", "200"]


@pytest.mark.usefixtures("trusting")
async def test_stalled_handshake_times_out(
    faults: FaultServer, certificate: Callable[..., Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt at a handshake that stalls ends at the connect timeout."""
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.3)
    faults.listen(greetings=[[["deaf"]]] * 2, tls=certificate())
    async with BurkiClient(KEY, base_url=faults.url, attempts=1) as burki:
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(RequestTimeoutError, match="no connection to localhost in time"):
                await burki.contacts(42)
            assert 0.3 <= time.monotonic() - start < 0.6
    faults.listen()


@pytest.mark.usefixtures("trusting")
async def test_broken_handshake_is_retried(
    faults: FaultServer, certificate: Callable[..., Files]
) -> None:
    """A connection that ends during the handshake costs one retry."""
    breaking = [CLOSE, RESET]
    faults.listen(greetings=breaking, tls=certificate())
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert len(contacts) == TOTAL
    assert contacts.report.retries == 2
    ends = ["connect", "close", "connect", "reset", "connect"]
    assert faults.events == [*ends, "GET 1", "200", "GET 2", "200"]


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("secure", [False, True])
async def test_closing_with_fifty_in_flight_takes_no_second(
    faults: FaultServer, certificate: Callable[..., Files], secure: bool, deaf: bool
) -> None:
    """`aclose` waits neither for responses nor for the TLS shutdown of the server."""
    steps = [["note", "stall"], ["deaf"]] if deaf else STALL
    faults.listen({1: [steps] * 50}, tls=certificate() if secure else None)
    async with BurkiClient(KEY, base_url=faults.url, concurrency=50) as burki:
        pulls = [asyncio.ensure_future(burki.contacts(42)) for _ in range(50)]
        while faults.events.count("stall") < 50:
            await asyncio.sleep(0.02)
        start = time.monotonic()
        await burki.aclose()
        assert time.monotonic() - start < 1
        outcomes = await asyncio.gather(*pulls, return_exceptions=True)
    assert {type(outcome).__name__ for outcome in outcomes} == {"ClientClosedError"}
    if deaf:  # its process ends the connections when it listens again
        faults.listen()


@asynccontextmanager
async def slow_handshakes(context: ssl.SSLContext, seconds: float) -> AsyncIterator[list[int]]:
    """Serve 80 pages over TLS on a port, each over a connection of its own.

    Yields a list of the port and then of the pages that were requested.
    """
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        number = int(head.split(b"page=")[1].split(b"&")[0])
        seen.append(number)
        content = body(page(number, 1, range(80)))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
        )
        writer.close()

    async def shake_hands(accepted: socket.socket) -> None:
        await asyncio.sleep(seconds)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader, serve)
        await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=context)

    async def accept() -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                accepted, _ = await loop.sock_accept(listening)
                group.create_task(shake_hands(accepted))

    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        listening.setblocking(False)
        seen.append(listening.getsockname()[1])
        accepting = asyncio.create_task(accept())
        yield seen
        accepting.cancel()
        await asyncio.wait((accepting,))


async def test_slow_handshakes_take_place_side_by_side(
    authority: trustme.CA, trusting: None
) -> None:
    """Eighty handshakes of 0.4 s, forty at a time, take few seconds, within a timeout of 3 s."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with slow_handshakes(context, 0.4) as seen:
        url = f"https://localhost:{seen.pop()}"
        start = time.monotonic()
        async with BurkiClient(KEY, base_url=url, concurrency=40, timeout=3, attempts=1) as burki:
            contacts = await burki.contacts(42, per_page=1, complete=False)
        assert time.monotonic() - start < 6  # four at a time would take eight seconds
    assert len(contacts) == 80
    assert contacts.report.requests == len(seen) == 80
