"""Lanes over real sockets: how many connections, when they are reused, when thrown away."""

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
import respx
import trustme
from pages import KEY, PASSWORD, page
from wire import Reply, WireServer, page_reply, wire_server

from aioburki import (
    BurkiClient,
    ClientClosedError,
    ConnectionFailedError,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
)
from aioburki._http import connection_pool
from aioburki._http.connect_limiter import MAX_CONNECTS, ConnectLimiter
from aioburki._requests.sender import LaneSender

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]


def whole(total: int) -> Callable[[int, int, int], Reply]:
    return lambda number, attempt, per_page: page_reply(number, per_page, total)


async def settled(server: WireServer) -> int:
    """Return how many connections are open once the server has noticed what was closed."""
    for _ in range(100):
        if not server.open_connections:
            break
        await asyncio.sleep(0.01)
    return server.open_connections


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Fail a test that leaves a file descriptor open."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    # The default executor keeps none, so the count is exact but for the loop's own.
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_one_connection_for_each_request_in_flight() -> None:
    """Many pages take no more connections than slots, and all of them are closed."""
    async with wire_server(whole(5000), latency=0.05) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            contacts = await burki.contacts(42, per_page=50)
            assert len(contacts) == 5000
            assert contacts.report.requests == len(server.requests) == 100
            assert server.connections <= 8
            assert server.most_in_flight == 8
            await burki.contacts(42, per_page=50)
            assert server.connections <= 8
        assert await settled(server) == 0


async def test_request_on_the_wire_is_complete() -> None:
    """One GET with host, key and what we accept; no proxy, cookie or body."""
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
    """A page whose connection breaks is asked for again on a new one, whole."""

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
    """A server that closes kept-alive connections costs neither a contact nor an error."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        return page_reply(number, per_page, 100, closes=True)

    async with wire_server(answer) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=2) as burki:
            contacts = await burki.contacts(42, per_page=10)
            await asyncio.sleep(0.05)
            again = await burki.contacts(42, per_page=10)
    assert len(contacts) == len(again) == 100


async def test_attempt_ends_at_its_deadline() -> None:
    """A stalled or dripping answer is given up after `timeout` seconds, body included."""

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
    """Nobody listening is said with the host, after all attempts."""
    async with wire_server(whole(1)) as server:
        url = server.url
    async with BurkiClient(KEY, base_url=url, attempts=2) as burki:
        with pytest.raises(ConnectionFailedError, match="could not connect to localhost") as caught:
            await burki.contacts(42)
    assert caught.value.attempts == 2


async def test_too_large_an_answer_is_cut_off() -> None:
    """An endless body costs its connection and no more."""
    async with wire_server(whole(100)) as server:
        async with BurkiClient(KEY, base_url=server.url, max_body=1024) as burki:
            with pytest.raises(ResponseTooLargeError):
                await burki.contacts(42)
            assert await settled(server) == 0


async def test_error_answers_keep_the_connection() -> None:
    """An answer that is an error was read whole, so its connection serves again."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        if attempt < 4:
            return Reply(b'{"detail": "busy"}', status=503)
        return page_reply(number, per_page, 1)

    async with wire_server(answer) as server, BurkiClient(KEY, base_url=server.url) as burki:
        await burki.contacts(42)
    assert server.connections == 1


async def test_gzip_is_asked_for_and_understood() -> None:
    """A compressed page is a page."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        plain = page_reply(number, per_page, 100)
        return Reply(gzip.compress(plain.content), headers={"content-encoding": "gzip"})

    async with wire_server(answer) as server, BurkiClient(KEY, base_url=server.url) as burki:
        assert len(await burki.contacts(42)) == 100


async def test_tls_works(authority: ssl.SSLContext) -> None:
    """The same over https."""
    async with wire_server(whole(100), tls=authority) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=4) as burki:
            assert len(await burki.contacts(42, per_page=10)) == 100
        assert server.connections <= 4
        assert await settled(server) == 0


async def test_unknown_certificate_is_refused_at_once() -> None:
    """Nothing is sent to a server that cannot prove who it is, and nothing is retried."""
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
    """A cancellation in mid-handshake closes the socket, which httpcore alone would not."""
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


async def status_of(lanes: connection_pool.ConnectionPool, server: WireServer) -> int:
    """Send a request over *lanes*, read the answer, and return its status."""
    response = await lanes.send(
        httpcore.Request("GET", f"{server.url}/?page=1&per_page=1", headers={"Host": "localhost"})
    )
    await response.aread()
    return response.status_code


async def test_request_cancelled_at_any_step_leaves_no_stuck_lane() -> None:
    """Wherever in httpx a cancellation strikes, the next request has a connection at once."""
    context = connection_pool._tls_context()
    async with wire_server(whole(1)) as server:
        for steps in range(40):
            lanes = connection_pool.ConnectionPool()
            lanes._context = context  # or the first steps would be those of a thread
            request = asyncio.create_task(status_of(lanes, server))
            for _ in range(steps):
                await asyncio.sleep(0)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            async with asyncio.timeout(2):
                assert await status_of(lanes, server) == 200
            await lanes.aclose()


async def test_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxies, certificates, passwords and key logs of the environment have no effect."""
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
    assert connection_pool._tls_context().keylog_filename is None
    assert not (tmp_path / "keys.log").exists()


def pull_in_a_new_loop(burki: BurkiClient, closing: bool = False) -> int:
    async def pull() -> int:
        async with wire_server(whole(100)) as server:
            assert isinstance(burki._sender, LaneSender)
            burki._sender._server = httpx.URL(server.url)
            contacts = await burki.contacts(42, per_page=10)
            if closing:
                await burki.aclose()
            return len(contacts)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(pull())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_second_event_loop_after_the_first() -> None:
    """A client made for several `asyncio.run` works in each of them."""
    burki = BurkiClient(KEY)
    for closing in (False, False, True):
        count = await asyncio.to_thread(pull_in_a_new_loop, burki, closing)
        assert count == 100
    with pytest.raises(ClientClosedError):
        burki.contacts(42)
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_client_can_be_closed_after_its_loop() -> None:
    """A client used in one `asyncio.run` and closed in the next is closed."""
    burki = BurkiClient(KEY)
    await asyncio.to_thread(pull_in_a_new_loop, burki)
    await burki.aclose()
    gc.collect()


async def test_second_event_loop_beside_the_first_is_refused() -> None:
    """One client in two running loops gets an error that says so, not a hang."""
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


def new_lane() -> connection_pool.PooledConnection:
    origin = httpcore.Origin(b"https", b"localhost", 443)
    return connection_pool.PooledConnection(
        origin, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ConnectLimiter()
    )


async def test_lane_serves_one_server_only() -> None:
    """A connection to one server is never used for a request to another."""
    async with wire_server(whole(1)) as one, wire_server(whole(1)) as other:
        lanes = connection_pool.ConnectionPool()
        for server in (one, other, other, one):
            assert await status_of(lanes, server) == 200
        await lanes.aclose()
        assert len(one.requests) == len(other.requests) == 2
        assert (one.connections, other.connections) == (2, 1)


ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
LEAVES = [
    kind
    for kind in vars(httpcore).values()
    if isinstance(kind, type) and issubclass(kind, ERRORS) and not kind.__subclasses__()
]


@pytest.mark.parametrize("kind", [kind for kind in LEAVES if kind is not httpcore.PoolTimeout])
async def test_errors_come_as_those_of_httpx(kind: type[Exception]) -> None:
    """What httpcore raises is raised under the same name of httpx, with its cause."""

    class Failing:
        async def __aiter__(self) -> AsyncIterator[bytes]:
            raise kind("text")
            yield b""

        async def aclose(self) -> None:
            raise AssertionError

    response = httpcore.Response(200, content=Failing())
    stream = connection_pool.PooledStream(response, new_lane(), lambda _: None)
    with pytest.raises(httpx.TransportError, match="text") as caught:
        async for _ in stream:
            pass
    assert type(caught.value).__name__ == kind.__name__
    assert isinstance(caught.value.__cause__, kind)


async def test_failing_close_throws_the_lane_away() -> None:
    """A response that cannot be closed cleanly does not give its connection back."""

    class Stuck(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

        async def aclose(self) -> None:
            raise httpx.ReadError("broken")

    given_back: list[connection_pool.PooledConnection] = []
    lane = new_lane()
    stream = connection_pool.PooledStream(
        httpcore.Response(200, content=Stuck()), lane, given_back.append
    )
    async for _ in stream:
        pass
    with pytest.raises(httpx.ReadError):
        await stream.aclose()
    await stream.aclose()
    assert given_back == []


async def test_respx_sees_our_requests() -> None:
    """Respx, as it comes, mocks a client that owns its connections."""
    url = "https://api.burki.dev/api/v1/campaigns/42/contacts"
    with respx.mock() as router:
        route = router.get(url, params={"page": "1", "per_page": "1000"}).respond(
            json=page(1, 1000, [1, 2])
        )
        async with BurkiClient(KEY) as burki:
            assert len(await burki.contacts(42)) == 2
            assert len(await burki.contacts(42)) == 2
        assert route.call_count == 2
        assert route.calls.last.request.headers["authorization"] == f"Bearer {KEY}"


async def test_client_of_the_user_is_used_and_not_closed() -> None:
    """An http_client serves as it is, keeps its headers, and stays open."""
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
    """After one broken connection the idle ones are not tried one after another."""
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
    """A broken connection is replaced by one; those that have served meanwhile are kept."""
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
    """Lanes that rest while another one breaks serve again as soon as an old one has answered."""
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


async def test_lanes_that_nobody_needs_any_more_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that goes on with fewer requests at once keeps no connections of before."""
    monkeypatch.setattr(connection_pool, "KEEPALIVE_SECONDS", 0.05)
    async with wire_server(whole(400), latency=0.02) as server:
        async with BurkiClient(KEY, base_url=server.url, concurrency=8) as burki:
            await burki.contacts(42, per_page=10)
            assert server.open_connections == 8
            for _ in range(10):
                await burki.contacts(42).page(1)
            assert server.open_connections == 1


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_unreadable_bodies_leave_no_generator(encoding: str) -> None:
    """Generators that were left in mid-body, with much of it unread, have ended with the pull."""

    def answer(number: int, attempt: int, per_page: int) -> Reply:
        # In chunks, each of which is a piece to whoever reads.
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
            ]
            tasks = [task for task in asyncio.all_tasks() if "async_generator" in repr(task)]
    assert not suspended
    assert not tasks


async def test_nobody_waits_for_a_lane_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is woken wakes the next, as long as a lane rests or may be opened."""
    monkeypatch.setattr(connection_pool.PooledConnection, "leads_to", lambda *_: True)
    lanes = connection_pool.ConnectionPool()
    lanes._enter_loop()
    lanes._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    origin = httpcore.Origin(b"http", b"127.0.0.1", 9)
    opening = [await lanes._take_lane(origin) for _ in range(MAX_CONNECTS)]
    rested = [new_lane() for _ in range(6)]
    lanes._idle.extend(rested[1:])
    lanes._suspected = time.monotonic()
    waiting = [asyncio.create_task(lanes._take_lane(origin)) for _ in range(8)]
    await asyncio.sleep(0)
    lanes._give_back(rested[0])  # one that is older than what broke, so that all may be used again
    for lane in opening:
        lane._end_opening()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    await lanes.aclose()
