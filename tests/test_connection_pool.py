"""The connection pool over real sockets: when connections are opened, reused and closed."""

from __future__ import annotations

import asyncio
import gc
import gzip
import inspect
import os
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpcore
import httpx
import pytest
import trustme
from pages import KEY, PASSWORD
from wire import Reply, WireServer, connection_pool_of, page_reply, wire_server

from aioburki import (
    BurkiClient,
    ClientClosedError,
    ConnectionFailedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
)
from aioburki._http import OwnClient, connection_pool, pooled_connection
from aioburki._http.connection import Connection
from aioburki._http.internals import PoolTransport
from aioburki._http.lookup_limiter import MAX_LOOKUPS, LookupLimiter

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]


def whole(total: int) -> Callable[[int, int, int], Reply]:
    return lambda number, attempt, per_page: page_reply(number, per_page, total)


async def settled(server: WireServer, at: int = 0) -> int:
    """Return how many connections are open, waiting a second for the server to notice closings."""
    for _ in range(100):
        if server.open_connections == at:
            break
        await asyncio.sleep(0.01)
    return server.open_connections


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Fail a test that leaves a file descriptor open."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    # Threads of the default executor hold none, so only the loop's own are open besides.
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_one_connection_for_each_request_in_flight() -> None:
    """A pull opens at most `concurrency` connections, and all of them are closed at the end."""
    # A loaded machine takes tenths of a second to send eight requests.
    async with wire_server(whole(5000), latency=0.5) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            assert len(await burki.contacts(42, per_page=50, limit=900)) == 900
            assert server.most_in_flight == 8
            server.latency = 0.0
            before = len(server.requests)
            contacts = await burki.contacts(42, per_page=50)
            assert len(contacts) == 5000
            assert contacts.report.requests == len(server.requests) - before == 100
            assert server.most_in_flight == 8
            assert server.connections <= 8
        assert await settled(server) == 0


async def test_request_on_the_wire_is_complete() -> None:
    """A request has exactly these headers: no cookie, proxy or content header."""
    async with wire_server(whole(1)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42, status="busy")
    (head,) = server.requests
    assert head.startswith(
        "GET /api/v1/campaigns/42/contacts?page=1&per_page=1000&status=busy HTTP/1.1\r\n"
    )
    names = sorted(line.split(":")[0].lower() for line in head.split("\r\n")[1:] if line)
    assert names == [
        "accept", "accept-encoding", "authorization", "connection", "host", "user-agent",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "events"),
    [
        ("close", ["connect", "GET 1", "200", "GET 2", "close", "connect", "GET 2", "200"]),
        ("half", ["connect", "GET 1", "200", "GET 2", "half", "connect", "GET 2", "200"]),
    ],
)
async def test_broken_connection_is_replaced(fault: str, events: list[str]) -> None:
    """A page whose connection breaks is requested again over a new one."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        broken = fault if number == 2 and attempt == 1 else None
        return page_reply(number, per_page, 20, fault=broken)

    async with wire_server(answer) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=1) as burki:
            contacts = await burki.contacts(42, per_page=10)
    assert server.events == events
    assert [contact.id for contact in contacts] == list(range(1, 21))
    assert contacts.report.retries == 1


async def test_connection_closed_while_idle_is_not_used() -> None:
    """A connection that the server has closed while it was idle is not used again."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        return page_reply(number, per_page, 100, closes=True)

    async with wire_server(answer) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=2) as burki:
            contacts = await burki.contacts(42, per_page=10)
            await asyncio.sleep(0.05)
            again = await burki.contacts(42, per_page=10)
    assert len(contacts) == len(again) == 100


async def test_attempt_ends_at_its_deadline() -> None:
    """`timeout` bounds the whole attempt, also if the body stalls or comes byte by byte."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        return page_reply(number, per_page, 10, fault={1: "drip", 2: "stall"}.get(attempt))

    async with wire_server(answer) as server:
        async with BurkiClient(KEY, base_url=server.url, timeout=0.3) as burki:
            contacts = await burki.contacts(42)
            assert contacts.report.retries == 2
        async with BurkiClient(KEY, base_url=server.url, timeout=0.1, attempts=1) as burki:
            server.answer = lambda *_: Reply(fault="stall")
            with pytest.raises(RequestTimeoutError):
                await burki.contacts(42)
        assert await settled(server) == 0


async def test_closed_port_is_a_failed_connection() -> None:
    """A refused connection is retried and then an error that names the host."""
    async with wire_server(whole(1)) as server:
        url = server.url
    async with BurkiClient(KEY, base_url=url, attempts=2) as burki:
        with pytest.raises(ConnectionFailedError, match="could not connect to localhost") as caught:
            await burki.contacts(42)
    assert caught.value.attempts == 2


async def test_too_large_an_answer_is_cut_off() -> None:
    """A body that is too large closes its connection."""
    async with wire_server(whole(100)) as server:
        async with BurkiClient(KEY, base_url=server.url, max_body=1024) as burki:
            with pytest.raises(ResponseTooLargeError):
                await burki.contacts(42)
            assert await settled(server) == 0


async def test_error_answers_keep_the_connection() -> None:
    """The connection of an error response is reused, since its body was read to the end."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        if attempt < 4:
            return Reply(b'{"detail": "busy"}', status=503)
        return page_reply(number, per_page, 1)

    async with wire_server(answer) as server, BurkiClient(KEY, base_url=server.url) as burki:
        await burki.contacts(42)
    assert server.connections == 1


async def test_gzip_is_asked_for_and_understood() -> None:
    """A page compressed with gzip is decoded."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        plain = page_reply(number, per_page, 100)
        return Reply(gzip.compress(plain.content), headers={"content-encoding": "gzip"})

    async with wire_server(answer) as server, BurkiClient(KEY, base_url=server.url) as burki:
        assert len(await burki.contacts(42)) == 100


async def test_tls_works(authority: ssl.SSLContext) -> None:
    """A pull over https reuses its connections and closes them."""
    async with wire_server(whole(100), tls=authority) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=4) as burki:
            assert len(await burki.contacts(42, per_page=10)) == 100
        assert server.connections <= 4
        assert await settled(server) == 0


async def test_unknown_certificate_is_refused_at_once() -> None:
    """No request is sent to a server whose certificate is not trusted, and none is retried."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the server's side of the refusal
    async with wire_server(whole(1), tls=context) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            with pytest.raises(
                ConnectionFailedError, match="TLS certificate of localhost"
            ) as caught:
                await burki.contacts(42)
    assert caught.value.attempts == 1
    assert server.requests == []


async def test_cancelled_handshakes_leave_no_socket(
    authority: ssl.SSLContext, descriptors: None
) -> None:
    """Cancelling during a TLS handshake closes the socket."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the server's side of broken handshakes
    draw = random.Random(1)
    async with wire_server(whole(1), tls=authority) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42)
            for _ in range(60):
                pulls = [asyncio.ensure_future(burki.contacts(42)) for _ in range(4)]
                await asyncio.sleep(draw.random() * 0.02)
                for pull in pulls:
                    pull.cancel()
                await asyncio.wait(pulls)
            assert len(await burki.contacts(42)) == 1
        assert await settled(server) == 0


async def status_of(pool: connection_pool.ConnectionPool, server: WireServer) -> int:
    """Send a request over *pool*, read the response, and return its status."""
    response = await pool.handle_async_request(
        httpcore.Request("GET", f"{server.url}/?page=1&per_page=1", headers={"Host": "localhost"})
    )
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response.status


async def test_request_cancelled_at_any_step_leaves_no_stuck_connection() -> None:
    """After a cancellation at any await the next request gets a connection at once."""
    context = connection_pool.load_tls_context()
    async with wire_server(whole(1)) as server:
        for steps in range(40):
            pool = connection_pool.ConnectionPool()
            pool._context = context  # or the first steps would wait for a thread
            request = asyncio.create_task(status_of(pool, server))
            for _ in range(steps):
                await asyncio.sleep(0)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            async with asyncio.timeout(2):
                assert await status_of(pool, server) == 200
            await pool.aclose()


async def test_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies, certificates, netrc and SSLKEYLOGFILE of the environment have no effect."""
    (tmp_path / "netrc").write_text(f"default login me password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", f"{tmp_path}/netrc")
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}/none")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", f"{tmp_path}/none.pem")
    monkeypatch.setenv("SSLKEYLOGFILE", f"{tmp_path}/keys.log")
    async with wire_server(whole(1)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            assert len(await burki.contacts(42)) == 1
        assert server.requests[0].lower().count("authorization:") == 1
        assert f"Bearer {KEY}" in server.requests[0]
    assert connection_pool.load_tls_context().keylog_filename is None
    assert not (tmp_path / "keys.log").exists()


def pull_in_a_new_loop(burki: BurkiClient, closing: bool = False) -> int:
    async def pull() -> int:
        async with wire_server(whole(100)) as server:
            burki._session.sender._base_url = server.url
            contacts = await burki.contacts(42, per_page=10)
            if closing:
                await burki.aclose()
            return len(contacts)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(pull())


async def test_second_event_loop_after_the_first() -> None:
    """A client works in several `asyncio.run`, one after another."""
    burki = BurkiClient(KEY)
    for closing in (False, False, True):
        count = await asyncio.to_thread(pull_in_a_new_loop, burki, closing)
        assert count == 100
    with pytest.raises(ClientClosedError):
        burki.contacts(42)
    gc.collect()


async def test_client_can_be_closed_after_its_loop() -> None:
    """A client used in one `asyncio.run` can be closed in the next."""
    burki = BurkiClient(KEY)
    await asyncio.to_thread(pull_in_a_new_loop, burki)
    await burki.aclose()
    gc.collect()


async def test_second_event_loop_beside_the_first_is_refused() -> None:
    """Using one client in two running loops raises an error that says so."""
    async with wire_server(whole(1)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42)
            failures: list[Exception] = []

            def elsewhere() -> None:
                try:
                    asyncio.run(burki.contacts(42).count())
                except RuntimeError as error:
                    failures.append(error)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            await asyncio.to_thread(thread.join)
            assert "one client for each loop" in str(failures[0])
            await burki.contacts(42)


def new_connection() -> pooled_connection.PooledConnection:
    origin = httpcore.Origin(b"https", b"localhost", 443)
    return pooled_connection.PooledConnection(
        origin, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), LookupLimiter()
    )


async def test_connection_serves_one_server_only() -> None:
    """A connection to one server is never used for a request to another."""
    async with wire_server(whole(1)) as one, wire_server(whole(1)) as other:
        pool = connection_pool.ConnectionPool()
        for server in (one, other, other, one):
            assert await status_of(pool, server) == 200
        await pool.aclose()
        assert len(one.requests) == len(other.requests) == 2
        assert (one.connections, other.connections) == (2, 1)


ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
LEAVES = [
    kind
    for kind in vars(httpcore).values()
    if isinstance(kind, type) and issubclass(kind, ERRORS) and not kind.__subclasses__()
]


class FailingBody:
    """A body that raises *error* when it is read, and *on_close* when it is closed."""

    def __init__(self, error: Exception | None, on_close: Exception | None = None) -> None:
        self.error, self.on_close = error, on_close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.error is not None:
            raise self.error
        yield b""

    async def aclose(self) -> None:
        if self.on_close is not None:
            raise self.on_close


@pytest.mark.parametrize("kind", LEAVES)
@pytest.mark.parametrize("where", ["sending", "body"])
async def test_errors_are_translated_by_httpx(
    kind: type[Exception], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every error of httpcore becomes the error of the same name of httpx, with its cause."""

    async def respond(*_: object) -> httpcore.Response:
        if where == "sending":
            raise kind("text")
        return httpcore.Response(200, content=FailingBody(kind("text")))

    monkeypatch.setattr(Connection, "handle_async_request", respond)
    transport = PoolTransport(connection_pool.ConnectionPool())
    async with OwnClient(transport) as http:
        with pytest.raises(httpx.TransportError, match="text") as caught:
            await http.get("http://127.0.0.1:9/")
    assert type(caught.value).__name__ == kind.__name__
    assert isinstance(caught.value.__cause__, kind)


async def test_connection_is_discarded_if_its_response_cannot_be_closed() -> None:
    """A response whose closing fails does not release its connection for another request."""
    released: list[pooled_connection.PooledConnection] = []
    body = FailingBody(None, on_close=httpcore.ReadError("broken"))
    stream = pooled_connection.PooledStream(body, new_connection(), released.append)
    async for _ in stream:
        pass
    with pytest.raises(httpcore.ReadError):
        await stream.aclose()
    await stream.aclose()
    assert released == []


async def test_connection_is_released_if_its_body_needs_no_closing() -> None:
    """A body without `aclose`, such as that of a mock, releases its connection too."""
    released: list[pooled_connection.PooledConnection] = []
    connection, body = new_connection(), httpcore.Response(200, content=b"{}").stream
    stream = pooled_connection.PooledStream(body, connection, released.append)
    assert [piece async for piece in stream] == [b"{}"]
    await stream.aclose()
    assert released == [connection]


async def test_closing_on_another_loop_is_refused_and_closes_the_connections() -> None:
    """`aclose` on another loop raises an error, and the loop in use closes the connections."""
    async with wire_server(whole(1)) as server:
        burki = BurkiClient(KEY, base_url=server.url)
        await burki.contacts(42)
        assert server.open_connections == 1

        def close_elsewhere() -> None:
            with pytest.raises(RuntimeError, match="one client for each loop"):
                asyncio.run(burki.aclose())

        await asyncio.to_thread(close_elsewhere)
        assert await settled(server) == 0
        await burki.aclose()


async def test_client_of_the_user_is_used_and_not_closed() -> None:
    """An http_client adds its own headers to requests and stays open."""
    async with wire_server(whole(50)) as server:
        async with httpx.AsyncClient(headers={"x-trace": "1"}, cookies={"a": "b"}) as http:
            async with BurkiClient(KEY, base_url=server.url, http_client=http) as burki:
                assert len(await burki.contacts(42, per_page=10)) == 50
            assert not http.is_closed
            await http.get(f"{server.url}/?page=1&per_page=1")
        assert "x-trace: 1" in server.requests[0]
        with pytest.raises(ClientClosedError, match="the http_client of this BurkiClient"):
            BurkiClient(KEY, base_url=server.url, http_client=http).contacts(42)


async def test_restarted_server_costs_one_attempt() -> None:
    """After one connection broke, the retry opens a new one instead of trying the idle ones."""
    broken = False

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        fault = "close" if broken and number == 1 and server.connections <= opened else None
        return page_reply(number, per_page, 400, fault=fault)

    async with wire_server(answer, latency=0.01) as server:
        opened = 0
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            await burki.contacts(42, per_page=10)
            broken, opened = True, server.connections
            contacts = await burki.contacts(42, per_page=400)
    assert opened == 8
    assert contacts.report.retries == 1


async def test_faults_cost_no_further_connections() -> None:
    """Each broken connection is replaced by one; those that have served since are kept."""
    faults = 0

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        nonlocal faults
        broken = number % 10 == 0 and attempt == 1
        faults += broken
        return page_reply(number, per_page, 400, fault="close" if broken else None)

    async with wire_server(answer, latency=0.002) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            contacts = await burki.contacts(42, per_page=2)
    assert contacts.report.retries == faults == 20
    assert server.connections <= 8 + faults


async def test_one_broken_connection_does_not_cost_the_others() -> None:
    """Idle connections are used again as soon as one as old as they are has served a request."""
    opened = 0

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        fault = "close" if opened and number == 2 and attempt == 2 else None
        return page_reply(number, per_page, 400, fault=fault)

    async with wire_server(answer, latency=0.05) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            contacts = burki.contacts(42, per_page=10)
            await contacts
            opened = server.connections
            await asyncio.gather(contacts.page(1), contacts.page(2))
            await contacts
            assert (opened, server.connections) == (8, 9)


async def test_connections_that_are_not_needed_any_more_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections that stay idle are closed when another one is released."""
    async with wire_server(whole(400), latency=0.02) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            await burki.contacts(42, per_page=10)
            assert server.open_connections == 8
            monkeypatch.setattr(pooled_connection, "KEEPALIVE_SECONDS", 0.05)
            for _ in range(10):
                await burki.contacts(42).page(1)
            assert await settled(server, at=1) == 1


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_unreadable_bodies_leave_no_generator(encoding: str) -> None:
    """No suspended generator is left of bodies that were not read to their end."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        # Each chunk is one piece for the reader.
        headers = {"content-encoding": encoding, "transfer-encoding": "chunked"}
        return Reply(b"3e8\r\n%b\r\n" % (b"x" * 1000) * 4000, headers=headers)

    async with wire_server(answer) as server:
        client = BurkiClient(KEY, base_url=server.url, attempts=2, max_body=2_000_000)
        async with client as burki:
            with pytest.raises(ResponseDecodeError):
                await burki.contacts(42)
            suspended = [
                thing.__qualname__
                for thing in gc.get_objects()
                if inspect.isasyncgen(thing)
                and thing.ag_frame is not None
                and "aioburki" in thing.ag_code.co_filename
                and "_loop_binding" not in thing.ag_code.co_filename  # waits for the loop's end
            ]
            tasks = [task for task in asyncio.all_tasks() if "async_generator" in repr(task)]
    assert not suspended
    assert not tasks


async def test_no_task_waits_for_a_connection_that_is_available(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A woken task wakes the next as long as a connection is idle or may be opened."""
    monkeypatch.setattr(pooled_connection.PooledConnection, "is_usable", lambda *_: True)
    pool = connection_pool.ConnectionPool()
    pool._enter_loop()
    pool._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    origin = httpcore.Origin(b"http", b"127.0.0.1", 9)
    opening = [await pool._acquire(origin) for _ in range(MAX_LOOKUPS)]
    idle = [new_connection() for _ in range(6)]
    pool._idle.extend(idle[1:])
    pool._suspected = time.monotonic()
    waiting = [asyncio.create_task(pool._acquire(origin)) for _ in range(8)]
    await asyncio.sleep(0)
    pool._release(idle[0])  # it is older than the broken one, so that all may be used again
    for connection in opening:
        connection._leave_limiter()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    await pool.aclose()


async def test_idle_connections_close_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that no request uses is closed without another request or `aclose`."""
    monkeypatch.setattr(pooled_connection, "KEEPALIVE_SECONDS", 0.05)
    async with wire_server(whole(20)) as server:
        async with BurkiClient(KEY, base_url=server.url) as burki:
            await burki.contacts(42, per_page=10).page(1)
            assert await settled(server) == 0
            await asyncio.sleep(0)
            assert connection_pool_of(burki)._expiry is None


async def test_idle_connections_close_together_and_not_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The timer closes what has been idle for too long, and waits for the rest."""
    async with wire_server(whole(20), latency=0.02) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=4) as burki:
            await burki.contacts(42, per_page=1)
            pool = connection_pool_of(burki)
            assert len(pool._idle) > 1
            monkeypatch.setattr(pooled_connection, "KEEPALIVE_SECONDS", 1000.0)
            pool._expire()
            assert len(pool._idle) > 1
            assert pool._expiry is not None
            assert pool._expiry.when() > asyncio.get_running_loop().time() + 900
            pool._expiry.cancel()
            monkeypatch.setattr(pooled_connection, "KEEPALIVE_SECONDS", 0.0)
            pool._expire()
            assert pool._expiry is None
            assert await settled(server) == 0
