"""Pulls through network faults: no contact lost or doubled, and the expected requests sent.

The server runs in its own process (`fault_server.py`) and records every event on the wire.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from faults import (
    CLOSE,
    RESET,
    STALL,
    TOTAL,
    FaultServer,
    Steps,
    json_response,
    latin_1,
    page_body,
    page_response,
    respond,
    response_head,
    send_raw,
)
from pages import KEY, body, page

from aioburki import (
    BurkiClient,
    BurkiError,
    ConnectionFailedError,
    ContactList,
    RequestTimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    UnexpectedResponseError,
)
from aioburki._http import connection_pool, pooled_connection
from aioburki._requests import sender

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

HALF = page_response(2)[: len(page_response(2)) // 2]
PACKED = gzip.compress(page_body(2))
TWO_MEMBERS = gzip.compress(page_body(2)[:50]) + gzip.compress(page_body(2)[50:])
CHUNKED_HEAD = response_head(content_type="application/json", transfer_encoding="chunked")
TEN_BYTE_CHUNK = "a\r\n" + latin_1(page_body(2)[:10])
BANNER = "SSH-2.0-OpenSSH_9.6 canary-banner\r\n"
ALL_IDS = list(range(1, TOTAL + 1))


def chunked(payload: bytes) -> str:
    return f"{CHUNKED_HEAD}{len(payload):x}\r\n{latin_1(payload)}\r\n0\r\n\r\n"


def packed(payload: bytes, encoding: str = "gzip") -> Steps:
    return respond(200, payload, content_encoding=encoding)


async def pull(url: str, **settings: Any) -> ContactList:
    """Pull the two pages one after the other, with short timeouts and few attempts."""
    settings = {"concurrency": 1, "timeout": 0.4, "attempts": 3} | settings
    async with BurkiClient(KEY, base_url=url, **settings) as burki:
        return await burki.contacts(42, per_page=10)


# What breaks a connection before or during a response, and the note of it in the events.
BROKEN_CONNECTIONS: dict[str, tuple[Steps, str]] = {
    "closed on receipt": (CLOSE, "close"),
    "reset on receipt": (RESET, "reset"),
    "reset in the headers": (send_raw("reset", "HTTP/1.1 200 OK\r\nconte", then="reset"), "reset"),
    "reset in the body": (send_raw("reset", HALF, then="reset"), "reset"),
    "closed in the status line": (send_raw("cut", "HTTP/1.1 20"), "cut"),
    "closed in the headers": (send_raw("cut", "HTTP/1.1 200 OK\r\ncontent-type: appl"), "cut"),
    "closed after the headers": (send_raw("cut", response_head(content_length=99)), "cut"),
    "closed in the body": (send_raw("cut", HALF), "cut"),
    "closed a byte before its end": (send_raw("cut", page_response(2)[:-1]), "cut"),
    "closed in a chunk": (send_raw("cut", CHUNKED_HEAD + TEN_BYTE_CHUNK[:8]), "cut"),
    "closed between chunks": (send_raw("cut", CHUNKED_HEAD + TEN_BYTE_CHUNK + "\r\n"), "cut"),
    "closed before the last chunk": (send_raw("cut", chunked(page_body(2))[:-5]), "cut"),
    "banner": (send_raw("banner", BANNER), "banner"),
    "banner, then silence": (send_raw("banner", BANNER, then="stall"), "banner"),
    "two lengths": (
        send_raw(
            "200",
            response_head(content_length=5)[:-2] + "content-length: 6\r\n\r\n{}",
            then="stall",
        ),
        "200",
    ),
    "length that is not a number": (
        send_raw("200", response_head(content_length="ten"), then="stall"),
        "200",
    ),
    "chunk size that is not a number": (
        send_raw("200", CHUNKED_HEAD + "zz\r\n", then="stall"),
        "200",
    ),
    "headers without end": (
        send_raw("200", response_head(x_filler="x" * 150_000), then="stall"),
        "200",
    ),
    "another protocol": (
        send_raw(
            "101",
            response_head(101, upgrade="websocket", connection="Upgrade"),
            then="stall",
        ),
        "101",
    ),
    "stalled before the response": (STALL, "stall"),
    "stalled in the headers": (send_raw("stall", "HTTP/1.1 200 OK\r\n", then="stall"), "stall"),
    "stalled in the body": (send_raw("stall", HALF, then="stall"), "stall"),
    "stalled in a chunk": (
        send_raw("stall", CHUNKED_HEAD + TEN_BYTE_CHUNK[:9], then="stall"),
        "stall",
    ),
    "dripping headers": (
        [["note", "drip"], ["drip", page_response(2)[:60], 0.05], ["stall"]],
        "drip",
    ),
    "dripping body": ([["note", "drip"], ["send", HALF], ["drip", " " * 60, 0.05]], "drip"),
    "endless 100": ([["note", "100"], ["repeat", response_head(100)]], "100"),
    "endless 103": ([["note", "103"], ["repeat", response_head(103, link="</x>")]], "103"),
    "truncated, ended by closing": (
        send_raw("200", response_head(connection="close") + latin_1(page_body(2)[:-20])),
        "200",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_CONNECTIONS)
async def test_page_is_retried_after_a_broken_connection(faults: FaultServer, name: str) -> None:
    """The page is requested once more on a new connection; nothing partial is delivered."""
    steps, note = BROKEN_CONNECTIONS[name]
    faults.listen({2: [steps]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == ALL_IDS
    assert faults.events == ["connect", "GET 1", "200", "GET 2", note, "connect", "GET 2", "200"]
    report = contacts.report
    assert (report.requests, report.retries, report.duplicates) == (3, 1, 0)
    assert report.consistent


@pytest.mark.parametrize("name", BROKEN_CONNECTIONS)
async def test_broken_connections_at_every_attempt_raise(faults: FaultServer, name: str) -> None:
    """After the last attempt an error names page and attempts, and quotes no server bytes."""
    steps, note = BROKEN_CONNECTIONS[name]
    faults.listen({2: [steps] * 3})
    with pytest.raises(BurkiError) as caught:
        await pull(faults.url, timeout=0.2)
    error = caught.value
    times_out = name.startswith(("stalled", "dripping", "endless"))
    is_decoded = name.startswith("truncated")
    kind = RequestTimeoutError if times_out else ConnectionFailedError
    assert type(error) is (ResponseDecodeError if is_decoded else kind)
    assert (error.page, error.attempts) == (2, 3)
    assert error.message
    assert "canary" not in str(error)
    assert error.__cause__ is error.__context__ is None
    broken = ["GET 2", note, "connect"]
    assert faults.events == ["connect", "GET 1", "200", *broken, *broken, *broken[:2]]


# Complete responses whose body is no complete page: the connection can be kept.
BROKEN_BODIES: dict[str, Steps] = {
    "empty": respond(200, b""),
    "half the JSON": respond(200, page_body(2)[:-20]),
    "half the gzip": packed(PACKED[: len(PACKED) // 2]),
    "gzip without its trailer": packed(PACKED[:-8]),
    "wrong checksum": packed(PACKED[:-8] + bytes(4) + PACKED[-4:]),
    "plain body declared as gzip": packed(page_body(2)),
    "second member cut": packed(TWO_MEMBERS[:-1]),
    "chunked half": [["note", "200"], ["send", chunked(page_body(2)[:-20])]],
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_broken_bodies_in_complete_responses_are_retried(
    faults: FaultServer, name: str
) -> None:
    """A truncated or corrupt body is retried, and raises after the last attempt."""
    faults.listen({2: [BROKEN_BODIES[name]]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == ALL_IDS
    assert contacts.report.retries == 1
    events = [event for event in faults.events if event != "connect"]
    assert events == ["GET 1", "200", "GET 2", "200", "GET 2", "200"]
    faults.listen({2: [BROKEN_BODIES[name]] * 3})
    with pytest.raises(ResponseDecodeError) as caught:
        await pull(faults.url)
    assert (caught.value.page, caught.value.attempts) == (2, 3)


async def test_gzip_in_two_members_is_one_page(faults: FaultServer) -> None:
    """The second gzip member of a body is decoded too."""
    faults.listen({2: [packed(TWO_MEMBERS)]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == ALL_IDS
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "200"]


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate"])
async def test_unrequested_content_encodings_are_refused_at_once(
    faults: FaultServer, encoding: str
) -> None:
    """Any Content-Encoding but a single gzip raises after one attempt."""
    faults.listen({2: [packed(gzip.compress(PACKED), encoding)]})
    with pytest.raises(UnexpectedResponseError) as caught:
        await pull(faults.url)
    assert caught.value.attempts == 1
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "200"]


@pytest.mark.parametrize(
    "endless",
    [
        [["note", "200"], ["send", CHUNKED_HEAD], ["repeat", f"10000\r\n{'x' * 65_536}\r\n"]],
        [["note", "200"], ["send", response_head(content_length=10**10)], ["repeat", "x" * 65_536]],
    ],
    ids=["chunked", "10 GB"],
)
async def test_endless_bodies_are_cut_off(faults: FaultServer, endless: Steps) -> None:
    """A body larger than `max_body` raises after one attempt and closes its connection."""
    faults.listen({2: [endless]})
    with pytest.raises(ResponseTooLargeError) as caught:
        await pull(faults.url, timeout=10, max_body=2**20)
    assert caught.value.attempts == 1
    assert faults.connections_left() == 0
    # What was read, plus what the buffers of two sockets hold.
    assert faults.state()["repeated"] < 2**24
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "200"]


@pytest.mark.parametrize("how", ["at once", "a moment later", "cut", "cut by a moment"])
async def test_unsolicited_response_is_not_used(faults: FaultServer, how: str) -> None:
    """Bytes after a response are never used as the response to the next request."""
    stray = json_response(body(page(2, 10, range(101, 121))))
    if "cut" in how:
        stray = stray[: len(stray) // 2]
    first = [["note", "200"], ["send", page_response(1) + stray]]
    if "moment" in how:
        first = [["note", "200"], ["send", page_response(1)], ["send", stray]]
    faults.listen({1: [first]})
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1, timeout=0.4) as burki:
        contacts = burki.contacts(42, per_page=10)
        first_page = await contacts.page(1)
        await asyncio.sleep(0.05)  # the extra bytes arrive before request 2 is sent
        second_page = await contacts.page(2)
    assert [contact.id for contact in (*first_page, *second_page)] == ALL_IDS
    assert faults.events == ["connect", "GET 1", "200", "connect", "GET 2", "200"]


async def test_closed_port_is_retried_until_the_last_attempt(faults: FaultServer) -> None:
    """A refused connection is retried, and raises ConnectionFailedError after all attempts."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailedError, match="could not connect") as caught:
            await pull(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (caught.value.page, caught.value.attempts) == (1, 3)


async def test_unanswered_connect_ends_at_its_timeout(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connect that gets no answer ends at the connect timeout, at each attempt."""
    faults.listen(black_hole=True)
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(RequestTimeoutError, match=r"no connection to 127\.0\.0\.1 in") as caught:
        await pull(faults.url.replace("localhost", "127.0.0.1"), timeout=5, attempts=2)
    max_back_off = 0.1
    assert 0.6 <= time.monotonic() - start <= 2 * (0.3 + 0.1) + max_back_off
    assert caught.value.attempts == 2


async def test_unknown_host_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not resolve raises after all attempts, and the message names the host."""
    lookups = 0

    def unknown(*_: object, **__: object) -> object:
        nonlocal lookups
        lookups += 1
        raise socket.gaierror(socket.EAI_NONAME, "canary")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionFailedError) as caught:
        await pull("https://burki.example", timeout=5)
    assert caught.value.message == "could not connect to burki.example"
    assert lookups == caught.value.attempts == 3


@pytest.fixture
def slow_lookups(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Make each name lookup take 0.5 s; the fixture returns how many ran at once."""
    getaddrinfo = socket.getaddrinfo
    lock = threading.Lock()
    running = max_running = 0

    def slow(*arguments: Any, **options: Any) -> Any:
        nonlocal running, max_running
        if arguments[0] not in ("localhost", b"localhost"):
            return getaddrinfo(*arguments, **options)
        with lock:
            running += 1
            max_running = max(max_running, running)
        time.sleep(0.5)
        with lock:
            running -= 1
        return getaddrinfo(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    return lambda: max_running


async def test_slow_name_lookups_do_not_fail_fifty_requests(
    faults: FaultServer, slow_lookups: Callable[[], int]
) -> None:
    """None of fifty concurrent requests fails, and at most four lookups run at once."""
    faults.listen(latency=0.02)
    async with BurkiClient(
        KEY, base_url=faults.url, concurrency=50, timeout=2, attempts=1
    ) as burki:
        contacts = burki.contacts(42)
        assert await asyncio.gather(*(contacts.count() for _ in range(50))) == [TOTAL] * 50
    assert 0 < slow_lookups() <= 4
    assert len(faults.state()["heads"]) == 50
    # Waiting requests used connections that became free, instead of opening one each.
    assert faults.state()["accepted"] < 25


async def test_wait_for_a_lookup_is_not_in_the_timeout(
    faults: FaultServer, slow_lookups: Callable[[], int]
) -> None:
    """Twelve requests need 1.5 s for their look-ups, four at a time, with a timeout of 1.2 s."""
    payload = body(page(1, 1, range(1, TOTAL + 1)))
    faults.listen({1: [[*respond(200, payload, connection="close"), ["close"]]] * 12})
    async with BurkiClient(
        KEY, base_url=faults.url, concurrency=50, timeout=1.2, attempts=1
    ) as burki:
        contacts = burki.contacts(42)
        assert await asyncio.gather(*(contacts.count() for _ in range(12))) == [TOTAL] * 12


async def test_requests_that_could_not_be_sent_are_not_counted(faults: FaultServer) -> None:
    """Attempts that find a closed port are no requests."""
    faults.listen()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with BurkiClient(KEY, base_url=url, attempts=3) as burki:
            stream = burki.contacts(42).stream()
            with pytest.raises(ConnectionFailedError):
                await stream.__aenter__()
            assert (stream.report.requests, stream.report.retries) == (0, 2)


async def test_certificates_are_loaded_once(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty concurrent first requests load the CA certificates once."""
    make, calls = connection_pool.load_tls_context, 0

    def counted() -> ssl.SSLContext:
        nonlocal calls
        calls += 1
        return make()

    monkeypatch.setattr(connection_pool, "load_tls_context", counted)
    faults.listen()
    async with BurkiClient(KEY, base_url=faults.url, concurrency=50) as burki:
        await asyncio.gather(*(burki.contacts(42).count() for _ in range(50)))
    assert calls == 1


async def test_idle_connections_do_not_wait_for_connects(
    faults: FaultServer, slow_lookups: Callable[[], int]
) -> None:
    """A request that finds an idle connection is sent at once while others connect."""
    faults.listen()
    async with BurkiClient(KEY, base_url=faults.url, concurrency=50) as burki:
        contacts = burki.contacts(42)
        await contacts.count()
        others = [asyncio.ensure_future(contacts.count()) for _ in range(12)]
        await asyncio.sleep(0.05)
        start = time.monotonic()
        for _ in range(5):
            await contacts.count()
        assert time.monotonic() - start < 0.3
        await asyncio.gather(*others)


async def test_cancelled_waits_for_a_connection_do_not_block_others(
    faults: FaultServer, slow_lookups: Callable[[], int]
) -> None:
    """Requests cancelled while they wait for a connection pass their permit on."""
    faults.listen()
    async with BurkiClient(KEY, base_url=faults.url, concurrency=50) as burki:
        contacts = burki.contacts(42)
        for delay in (0.0, 0.1, 0.49, 0.5, 0.51, 0.6):
            counts = [asyncio.ensure_future(contacts.count()) for _ in range(20)]
            await asyncio.sleep(delay)
            for count in counts[::2]:
                count.cancel()
            outcomes = await asyncio.gather(*counts, return_exceptions=True)
            assert outcomes[1::2] == [TOTAL] * 10


@pytest.mark.parametrize("how", ["close", "close and announce", "expire"])
async def test_connections_are_reopened_a_few_at_a_time(
    faults: FaultServer,
    slow_lookups: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """Closed or expired connections are replaced within the bound on concurrent connects."""
    payload = body(page(1, 1, range(1, TOTAL + 1)))
    if how == "expire":
        monkeypatch.setattr(pooled_connection, "KEEPALIVE_SECONDS", 0.0)
    headers = {"connection": "close"} if how == "close and announce" else {}
    end: Steps = [] if how == "expire" else [["close"]]
    faults.listen({1: [[*respond(200, payload, **headers), *end]] * 24}, latency=0.1)
    async with BurkiClient(KEY, base_url=faults.url, concurrency=12) as burki:
        contacts = burki.contacts(42)
        for _ in range(2):
            assert await asyncio.gather(*(contacts.count() for _ in range(12))) == [TOTAL] * 12
            await asyncio.sleep(0.05)
    assert faults.state()["accepted"] >= 24
    assert 0 < slow_lookups() <= 4


@contextmanager
def descriptor_limit(number: int) -> Iterator[None]:
    """Let the process open only *number* more file descriptors."""
    free = (candidate for candidate in itertools.count() if not _is_open(candidate))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, number, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_pull_succeeds_with_few_descriptors(faults: FaultServer) -> None:
    """At the limit of file descriptors a pull continues with the connections that it has."""
    faults.listen(total=400, latency=0.1)
    async with BurkiClient(KEY, base_url=faults.url, concurrency=32, timeout=5) as burki:
        await burki.contacts(42).count()  # loads certificates, starts threads
        with descriptor_limit(6):
            contacts = await burki.contacts(42, per_page=10)
        assert [contact.id for contact in contacts] == list(range(1, 401))
        assert contacts.report.retries > 0
        assert faults.state()["open"] <= 1 + 6


async def test_no_descriptor_at_all_is_a_failed_connection(faults: FaultServer) -> None:
    """Without a free descriptor all attempts fail; a later pull on the same client succeeds."""
    for is_warm in (False, True):
        faults.listen({9: [STALL]})
        async with BurkiClient(KEY, base_url=faults.url, attempts=2, timeout=5) as burki:
            contacts = burki.contacts(42)
            await asyncio.to_thread(os.getpid)
            if is_warm:  # certificates are loaded, and the one connection is in use
                await contacts.count()
                stalled = asyncio.ensure_future(contacts.page(9))
                await asyncio.sleep(0.05)
            with descriptor_limit(0), pytest.raises(ConnectionFailedError) as caught:
                await contacts
            assert caught.value.attempts == 2
            assert len(await contacts) == TOTAL
            if is_warm:
                stalled.cancel()
                await asyncio.wait((stalled,))
