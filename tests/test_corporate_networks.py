"""Networks of companies: own certificates, proxies, and servers that refuse TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme
from connect_proxy import connect_proxy
from faults import TOTAL, FaultServer, send_raw
from pages import KEY, PASSWORD
from wire import page_reply, wire_server

from aioburki import (
    BurkiClient,
    BurkiError,
    ConfigurationError,
    ConnectionFailedError,
    RequestTimeoutError,
    UnexpectedResponseError,
)
from aioburki._requests import sender
from aioburki.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("no_proxies")

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def company() -> trustme.CA:
    """The authority of the company, which no client trusts by itself."""
    return trustme.CA()


@pytest.fixture
def bundle(company: trustme.CA, tmp_path: Path) -> str:
    """The path of the file with the certificate of the authority."""
    company.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    return str(tmp_path / "company.pem")


@pytest.fixture
def server(company: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    company.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusting(company: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    company.configure_trust(context)
    return context


def reply(number: int, attempt: int, per_page: int) -> Any:
    return page_reply(number, per_page, TOTAL)


def client(url: str, **options: Any) -> BurkiClient:
    return BurkiClient(KEY, base_url=url, **options)


async def failing(burki: BurkiClient) -> BurkiError:
    async with burki:
        with pytest.raises(BurkiError) as caught:
            await burki.contacts(42, per_page=10)
    return caught.value


# ---------------------------------------------------------------- verify and trust_env


@pytest.mark.asyncio
async def test_certificates_of_a_context_are_trusted(
    server: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """With `verify=` the context decides which servers are trusted, over our own pool."""
    async with wire_server(reply, tls=server) as wire:
        async with client(wire.url, verify=trusting) as burki:
            assert len(await burki.contacts(42, per_page=10)) == TOTAL


@pytest.mark.asyncio
async def test_context_that_was_used_for_http2_speaks_http1(
    server: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A context that would negotiate HTTP/2 is told not to, as httpx does."""
    server.set_alpn_protocols(["h2", "http/1.1"])
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    async with wire_server(reply, tls=server) as wire:
        async with client(wire.url, verify=trusting) as burki:
            assert len(await burki.contacts(42, per_page=10)) == TOTAL
    assert wire.application_protocols == {"http/1.1"}


@pytest.mark.asyncio
async def test_certificates_of_the_environment_are_trusted(
    server: ssl.SSLContext, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `trust_env=True` SSL_CERT_FILE is read."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    async with wire_server(reply, tls=server) as wire:
        async with client(wire.url, trust_env=True) as burki:
            assert len(await burki.contacts(42, per_page=10)) == TOTAL


@pytest.mark.parametrize("password", [None, f"me:{PASSWORD}"])
@pytest.mark.asyncio
async def test_proxy_of_the_environment_is_used(
    server: ssl.SSLContext,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    password: str | None,
) -> None:
    """With `trust_env=True` requests go through the proxy, with its password."""
    async with wire_server(reply, tls=server) as wire, connect_proxy(password=password) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with client(wire.url, trust_env=True, verify=trusting, concurrency=2) as burki:
            assert len(await burki.contacts(42, per_page=1)) == TOTAL
        assert set(proxy.targets) == {wire.url.removeprefix("https://")}
        assert len(proxy.targets) <= 2
        assert wire.connections == len(proxy.targets)
        assert all("proxy-" not in head.lower() for head in wire.requests)


@pytest.mark.asyncio
async def test_exceptions_of_the_environment_are_obeyed(
    server: ssl.SSLContext, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `trust_env=True` a host in NO_PROXY is reached without the proxy."""
    async with wire_server(reply, tls=server) as wire, connect_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        async with client(wire.url, trust_env=True, verify=trusting) as burki:
            assert len(await burki.contacts(42, per_page=10)) == TOTAL
        assert proxy.targets == []


@pytest.mark.asyncio
async def test_requests_that_are_cancelled_lose_no_connection_of_httpx(
    server: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A pull over httpx's pool that is cancelled leaves it no connection that is never idle."""
    async with wire_server(reply, tls=server, latency=0.05) as wire:
        async with client(wire.url, trust_env=True, verify=trusting, concurrency=4) as burki:
            for _ in range(3):
                # httpcore leaks the socket of a handshake that is cancelled: connect before.
                await burki.contacts(42, per_page=2)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await burki.contacts(42, per_page=2)
            assert not burki._session.sender.survives_cancellation
            pool = burki._session.sender.http._transport._pool  # type: ignore[attr-defined]
            assert all(connection.is_idle() for connection in pool.connections)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HTTPS_PROXY", f"ftp://me:{PASSWORD}@proxy.example", "a proxy or an exception in HTTPS_P"),
        ("ALL_PROXY", f"http://me:{PASSWORD}@proxy.example:port", "a proxy or an exception in "),
        ("HTTPS_PROXY", f"socks5://me:{PASSWORD}@proxy.example", "a SOCKS proxy, which needs one"),
        ("SSL_CERT_FILE", f"/nowhere/{PASSWORD}.pem", "SSL_CERT_FILE or SSL_CERT_DIR names no"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE or SSL_CERT_DIR names no"),
    ],
)
@pytest.mark.asyncio
async def test_unusable_environment_is_a_configuration_error(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What httpx cannot use of the environment is named, and its value is not shown."""
    monkeypatch.setenv(name, value)
    burki = BurkiClient(KEY, trust_env=True)
    with pytest.raises(ConfigurationError, match=f"trust_env=True cannot use .*{message}") as error:
        burki.contacts(42)
    assert PASSWORD not in str(error.value)
    assert error.value.__cause__ is error.value.__context__ is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"verify": True}, "verify must be an ssl.SSLContext, such as .*, not True"),
        ({"verify": "ca.pem"}, "verify must be an ssl.SSLContext, such as .*, not a str"),
        ({"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, "this one is for servers"),
        ({"trust_env": 1}, "trust_env must be True or False, not 1"),
        ({"trust_env": True, "transport": Sandbox(1).transport}, "give trust_env to your transp"),
        ({"trust_env": True, "http_client": httpx.AsyncClient()}, "trust_env to your http_client"),
        (
            {"verify": ssl.create_default_context(), "http_client": httpx.AsyncClient()},
            "give verify to your http_client, not to BurkiClient",
        ),
    ],
)
@pytest.mark.asyncio
async def test_networks_are_checked(arguments: dict[str, Any], message: str) -> None:
    """A wrong `verify` or `trust_env` is refused by name, and so is one that has no effect."""
    with pytest.raises(ConfigurationError, match=message):
        BurkiClient(KEY, **arguments)


# ---------------------------------------------------------------- certificates


@pytest.mark.asyncio
async def test_unknown_issuer_is_named_with_both_ways_out(server: ssl.SSLContext) -> None:
    """The message says why a certificate is refused, and both ways to trust its issuer."""
    async with wire_server(reply, tls=server) as wire:
        error = await failing(client(wire.url))
    assert type(error) is ConnectionFailedError
    assert error.attempts == 1
    assert error.message == (
        "the TLS certificate of localhost was not accepted: its issuer is not trusted; to trust "
        "its issuer, pass verify=ssl.create_default_context(cafile=…), or trust_env=True to use "
        "SSL_CERT_FILE and the proxies of the environment"
    )


@pytest.mark.asyncio
async def test_advice_does_not_name_what_is_given_already(server: ssl.SSLContext) -> None:
    """With `trust_env=True`, and with an own client, the message names the ways that are left."""
    async with wire_server(reply, tls=server) as wire, httpx.AsyncClient() as http:
        error = await failing(client(wire.url, trust_env=True))
        assert error.message.endswith("or name its certificate in SSL_CERT_FILE")
        error = await failing(client(wire.url, http_client=http))
        assert error.message.endswith("give your http_client or transport a `verify` that does")


@pytest.mark.asyncio
async def test_certificate_of_another_host_is_called_that(
    company: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """A certificate for another host is refused for that reason."""
    elsewhere = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    company.issue_cert("elsewhere.example").configure_cert(elsewhere)
    async with wire_server(reply, tls=elsewhere) as wire:
        error = await failing(client(wire.url, verify=trusting))
    assert "was not accepted: it is for another host; " in error.message


# ---------------------------------------------------------------- proxies


def unused() -> str:
    """Return a URL where nothing listens."""
    return "https://localhost:1"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.asyncio
async def test_unused_proxy_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed connect says that the proxy of the environment is not used, and how to use it."""
    monkeypatch.setenv(name, f"http://me:{PASSWORD}@proxy.example:3128")
    error = await failing(client(unused(), attempts=1))
    assert type(error) is ConnectionFailedError
    assert error.message == (
        f"could not connect to localhost; {name.upper()} is set, but not used: pass "
        "trust_env=True to use that proxy"
    )


@pytest.mark.asyncio
async def test_unused_proxy_is_named_after_a_timeout(
    faults: FaultServer, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that drops packets is such a failure too."""
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.1)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    faults.listen(black_hole=True)
    url = faults.url.replace("http://", "https://")
    error = await failing(client(url, verify=trusting, attempts=1))
    faults.listen()
    assert type(error) is RequestTimeoutError
    assert error.message.startswith("no connection to localhost in time; HTTPS_PROXY is set, but ")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTP_PROXY": "http://proxy.example"},
        {"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "localhost"},
    ],
)
@pytest.mark.asyncio
async def test_proxies_for_others_are_not_named(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that would not be used for this server is not named."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    error = await failing(client(unused(), attempts=1))
    assert error.message == "could not connect to localhost"


@pytest.mark.asyncio
async def test_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `trust_env=True` a failed connect says through which proxy it went."""
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:1")
    error = await failing(client("https://burki.example", trust_env=True, attempts=1))
    assert type(error) is ConnectionFailedError
    assert error.message == (
        "could not connect to burki.example, through the proxy that HTTPS_PROXY names"
    )


@pytest.mark.parametrize("status", [301, 400, 403, 404, 405, 407, 501])
@pytest.mark.asyncio
async def test_refusal_of_a_proxy_is_raised_at_once(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses CONNECT fails the pull at the first attempt, with its status."""
    async with connect_proxy(status, reason=f"{KEY} 503") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = await failing(client("https://burki.example", trust_env=True))
    assert proxy.targets == ["burki.example:443"]
    assert type(error) is UnexpectedResponseError
    assert error.status_code == status
    assert error.attempts == 1
    start = f"the proxy would not connect to burki.example: HTTP {status}"
    assert error.message.startswith(start)
    assert ("user name and a password" in error.message) is (status == 407)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.asyncio
async def test_busy_proxy_is_asked_again(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot reach the server now is asked again."""
    async with connect_proxy(status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = await failing(client("https://burki.example", trust_env=True, attempts=2))
    assert len(proxy.targets) == 2
    assert type(error) is ConnectionFailedError
    assert error.message.endswith(f"HTTP {status}")


@pytest.mark.asyncio
async def test_407_is_no_response_of_the_api() -> None:
    """A 407 in place of a page is a proxy's, raised at the first attempt."""
    transport = httpx.MockTransport(lambda _: httpx.Response(407, json={"detail": "x"}))
    error = await failing(BurkiClient(KEY, transport=transport))
    assert type(error) is UnexpectedResponseError
    assert error.status_code == 407
    assert error.attempts == 1


# ---------------------------------------------------------------- TLS that cannot succeed


@pytest.fixture
def files(company: trustme.CA, tmp_path: Path, bundle: str) -> dict[str, str]:
    """Certificate and key of a server, in files for the fault server."""
    issued = company.issue_cert("localhost")
    paths = {"certificate": f"{tmp_path}/server.pem", "key": f"{tmp_path}/server.key"}
    Path(paths["certificate"]).write_bytes(b"".join(b.bytes() for b in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(paths["key"])
    return paths


def newest_only(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def with_wrong_certificate(context: ssl.SSLContext) -> None:
    trustme.CA().issue_cert("me").configure_cert(context)


def unchanged(context: ssl.SSLContext) -> None:
    pass


REFUSALS: dict[str, tuple[Callable[[ssl.SSLContext], None], dict[str, str], str]] = {
    "version": (newest_only, {"version": "TLSv1_2"}, "this side have no version of TLS in common"),
    "version alert": (unchanged, {"alert": "PROTOCOL_VERSION"}, "have no version of TLS in common"),
    "handshake": (unchanged, {"alert": "HANDSHAKE_FAILURE"}, "handshake with localhost was reject"),
    "name": (unchanged, {"alert": "UNRECOGNIZED_NAME"}, "handshake with localhost was rejected"),
    "access": (unchanged, {"alert": "ACCESS_DENIED"}, "handshake with localhost was rejected"),
    "certificate required": (unchanged, {"clients": "company"}, "requires a client certificate"),
    "certificate refused": (with_wrong_certificate, {"clients": "company"}, "or another one"),
    "certificate refused by TLS 1.2": (
        with_wrong_certificate,
        {"clients": "company", "version": "TLSv1_2"},
        "requires a client certificate, or another one",
    ),
}


@pytest.mark.parametrize("trust_env", [False, True])
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.asyncio
async def test_tls_that_cannot_succeed_is_raised_at_once(
    faults: FaultServer,
    files: dict[str, str],
    trusting: ssl.SSLContext,
    tmp_path: Path,
    name: str,
    *,
    trust_env: bool,
) -> None:
    """A handshake that the server refuses fails the pull at one attempt and says what happened."""
    change, options, message = REFUSALS[name]
    change(trusting)
    if "clients" in options:
        options = options | {"clients": str(tmp_path / "company.pem")}
    faults.listen(tls=files | options)
    error = await failing(client(faults.url, verify=trusting, trust_env=trust_env))
    assert type(error) is ConnectionFailedError
    assert message in error.message
    assert error.attempts == 1
    assert faults.connections_left() == 0
    assert faults.events == ["connect", "tls refused"]


@pytest.mark.parametrize("alert", ["INTERNAL_ERROR", "USER_CANCELLED"])
@pytest.mark.asyncio
async def test_tls_that_may_succeed_later_is_tried_again(
    faults: FaultServer, files: dict[str, str], trusting: ssl.SSLContext, alert: str
) -> None:
    """A server that has a problem of its own in the handshake is asked again."""
    faults.listen(tls=files | {"alert": alert})
    error = await failing(client(faults.url, verify=trusting, attempts=2))
    assert type(error) is ConnectionFailedError
    assert error.attempts == 2


@asynccontextmanager
async def plain_server(first: bytes, *, waits: bool) -> AsyncIterator[str]:
    """Serve *first* without TLS, at once or after the client has sent something."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if waits:
            await reader.read(65_536)
        writer.write(first)
        with suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("first", [b"220 smtp ESMTP\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b"\0" * 99])
@pytest.mark.asyncio
async def test_port_without_tls_is_called_that(
    trusting: ssl.SSLContext, first: bytes, waits: bool
) -> None:
    """A server that sends something else than TLS fails the pull at one attempt."""
    async with plain_server(first, waits=waits) as url:
        error = await failing(client(url, verify=trusting))
    assert type(error) is ConnectionFailedError
    assert error.attempts == 1
    assert error.message.startswith("there is no TLS on this port of localhost: it sent something")


# ---------------------------------------------------------------- not HTTP, closed, trio

NO_HTTP = {
    "banner": "220 smtp.example ESMTP\r\n",
    "binary": "\x15\x03\x03\x00\x02\x02\x28\r\n\r\n",
    "header": "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
    "length": "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
}
BROKEN = {
    "half a head": "HTTP/1.1 200 OK\r\nconte",
    "half a body": "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    "half a chunk": "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{",
    "nothing": "",
}


# httpx's pool cannot tell a banner without a blank line from a response that was cut off.
@pytest.mark.parametrize(
    ("name", "is_own"),
    [(name, True) for name in (*NO_HTTP, *BROKEN)]
    + [(name, False) for name in (*NO_HTTP, *BROKEN) if name != "banner"],
)
@pytest.mark.asyncio
async def test_bytes_that_are_no_http_are_called_that(
    faults: FaultServer, name: str, is_own: bool
) -> None:
    """Something else than HTTP is called that; too little of it is a broken connection."""
    steps = send_raw("sent", (NO_HTTP | BROKEN)[name])
    faults.listen({1: [steps] * 2})
    async with httpx.AsyncClient(trust_env=False) as http:
        http_client = None if is_own else http
        error = await failing(client(faults.url, attempts=2, http_client=http_client))
    assert type(error) is ConnectionFailedError
    assert error.attempts == 2
    assert error.message == (
        "the response of localhost is not HTTP"
        if name in NO_HTTP
        else "the connection to localhost broke before the response was complete"
    )


@pytest.mark.asyncio
async def test_repr_of_a_closed_client_says_so() -> None:
    """The repr of a client says when it is closed."""
    burki = BurkiClient(KEY)
    assert "closed" not in repr(burki)
    await burki.aclose()
    assert repr(burki) == (
        "BurkiClient(base_url='https://api.burki.dev', concurrency=8, rate=None, closed)"
    )


WAYS_TO_START: dict[str, Callable[[BurkiClient], Any]] = {
    "contacts": lambda burki: burki.contacts(42),
    "enter": lambda burki: burki.__aenter__(),
}


@pytest.mark.parametrize("name", WAYS_TO_START)
def test_trio_is_named(name: str) -> None:
    """Under trio, the error says that asyncio is needed."""

    async def main() -> None:
        burki = BurkiClient(KEY, transport=Sandbox(1).transport)
        started = WAYS_TO_START[name](burki)
        await started  # not reached by all

    with pytest.raises(RuntimeError, match="aioburki runs on asyncio, not on trio: use asyncio"):
        trio.run(main)


def test_trio_is_named_for_contacts_that_were_made_before() -> None:
    """Contacts that were made outside of trio are not read in it, and leave no coroutine behind."""
    contacts = BurkiClient(KEY, transport=Sandbox(1).transport).contacts(42)

    async def main() -> None:
        await contacts

    with pytest.raises(RuntimeError, match="aioburki runs on asyncio, not on trio: use asyncio"):
        trio.run(main)
