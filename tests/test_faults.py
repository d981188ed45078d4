"""What networks do to a pull: nothing lost, nothing doubled, and on the wire what must be there.

The server runs in a process of its own (`fault_server.py`) and notes every event on the wire.
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
    complete,
    content,
    head,
    raw,
    says,
    text,
    whole,
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
from aioburki._http import connection_pool
from aioburki._requests import sender

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

HALF = whole(2)[: len(whole(2)) // 2]
PACKED = gzip.compress(content(2))
MEMBERS = gzip.compress(content(2)[:50]) + gzip.compress(content(2)[50:])
CHUNKED = head(content_type="application/json", transfer_encoding="chunked")
TEN_BYTES = "a\r\n" + text(content(2)[:10])
BANNER = "SSH-2.0-OpenSSH_9.6 canary-banner\r\n"
EVERYBODY = list(range(1, TOTAL + 1))


def chunked(payload: bytes) -> str:
    return f"{CHUNKED}{len(payload):x}\r\n{text(payload)}\r\n0\r\n\r\n"


def packed(payload: bytes, encoding: str = "gzip") -> Steps:
    return says(200, payload, content_encoding=encoding)


async def pull(url: str, **settings: Any) -> ContactList:
    """Pull the two pages one after the other."""
    settings = {"concurrency": 1, "timeout": 0.4, "attempts": 3} | settings
    async with BurkiClient(KEY, base_url=url, **settings) as burki:
        return await burki.contacts(42, per_page=10)


# What ends a connection in mid-answer, by what the events call it.
BREAKING: dict[str, tuple[Steps, str]] = {
    "closed on receipt": (CLOSE, "close"),
    "reset on receipt": (RESET, "reset"),
    "reset in the headers": (raw("reset", "HTTP/1.1 200 OK\r\nconte", then="reset"), "reset"),
    "reset in the body": (raw("reset", HALF, then="reset"), "reset"),
    "closed in the status line": (raw("cut", "HTTP/1.1 20"), "cut"),
    "closed in the headers": (raw("cut", "HTTP/1.1 200 OK\r\ncontent-type: appl"), "cut"),
    "closed after the headers": (raw("cut", head(content_length=99)), "cut"),
    "closed in the body": (raw("cut", HALF), "cut"),
    "closed a byte before its end": (raw("cut", whole(2)[:-1]), "cut"),
    "closed in a chunk": (raw("cut", CHUNKED + TEN_BYTES[:8]), "cut"),
    "closed between chunks": (raw("cut", CHUNKED + TEN_BYTES + "\r\n"), "cut"),
    "closed before the last chunk": (raw("cut", chunked(content(2))[:-5]), "cut"),
    "banner": (raw("banner", BANNER), "banner"),
    "stalled after a banner": (raw("banner", BANNER, then="stall"), "banner"),
    "two lengths": (
        raw("200", head(content_length=5) [:-2] + "content-length: 6\r\n\r\n{}", then="stall"),
        "200",
    ),
    "length that is no number": (raw("200", head(content_length="ten"), then="stall"), "200"),
    "chunk size that is no number": (raw("200", CHUNKED + "zz\r\n", then="stall"), "200"),
    "headers without end": (
        raw("200", head(x_filler="x" * 150_000), then="stall"),
        "200",
    ),
    "another protocol": (
        raw("101", head(101, upgrade="websocket", connection="Upgrade"), then="stall"),
        "101",
    ),
    "stalled before the answer": (STALL, "stall"),
    "stalled in the headers": (raw("stall", "HTTP/1.1 200 OK\r\n", then="stall"), "stall"),
    "stalled in the body": (raw("stall", HALF, then="stall"), "stall"),
    "stalled in a chunk": (raw("stall", CHUNKED + TEN_BYTES[:9], then="stall"), "stall"),
    "dripping headers": ([["note", "drip"], ["drip", whole(2)[:60], 0.05], ["stall"]], "drip"),
    "dripping body": ([["note", "drip"], ["send", HALF], ["drip", " " * 60, 0.05]], "drip"),
    "endless 100": ([["note", "100"], ["repeat", head(100)]], "100"),
    "endless 103": ([["note", "103"], ["repeat", head(103, link="</x>")]], "103"),
    "truncated, ended by closing": (
        raw("200", head(connection="close") + text(content(2)[:-20])),
        "200",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKING)
async def test_page_whose_connection_breaks_is_asked_for_again(
    faults: FaultServer, name: str
) -> None:
    """Once, on a new connection, and whole: what came before the break is delivered by nobody."""
    steps, note = BREAKING[name]
    faults.listen({2: [steps]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == EVERYBODY
    assert faults.events == ["connect", "GET 1", "200", "GET 2", note, "connect", "GET 2", "200"]
    report = contacts.report
    assert (report.requests, report.retries, report.duplicates) == (3, 1, 0)
    assert report.consistent


@pytest.mark.parametrize("name", BREAKING)
async def test_page_whose_connections_all_break_is_an_error(faults: FaultServer, name: str) -> None:
    """After all attempts an error names page and attempts, and nothing that the server sent."""
    steps, note = BREAKING[name]
    faults.listen({2: [steps] * 3})
    with pytest.raises(BurkiError) as caught:
        await pull(faults.url, timeout=0.2)
    error = caught.value
    late = name.startswith(("stalled", "dripping", "endless"))
    decoded = name.startswith("truncated")
    kind = RequestTimeoutError if late else ConnectionFailedError
    assert type(error) is (ResponseDecodeError if decoded else kind)
    assert (error.page, error.attempts) == (2, 3)
    assert error.message
    assert "canary" not in str(error)
    assert error.__cause__ is error.__context__ is None
    broken = ["GET 2", note, "connect"]
    assert faults.events == ["connect", "GET 1", "200", *broken, *broken, *broken[:2]]


# What is a complete answer and no page: the connection can be kept.
WHOLE: dict[str, Steps] = {
    "empty": says(200, b""),
    "half the JSON": says(200, content(2)[:-20]),
    "half the gzip": packed(PACKED[: len(PACKED) // 2]),
    "gzip without its trailer": packed(PACKED[:-8]),
    "wrong checksum": packed(PACKED[:-8] + bytes(4) + PACKED[-4:]),
    "gzip that is plain": packed(content(2)),
    "second member cut": packed(MEMBERS[:-1]),
    "chunked half": [["note", "200"], ["send", chunked(content(2)[:-20])]],
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
async def test_truncations_that_look_complete_are_noticed(faults: FaultServer, name: str) -> None:
    """A body that is too short for its content is asked for again, not taken for a short page."""
    faults.listen({2: [WHOLE[name]]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == EVERYBODY
    assert contacts.report.retries == 1
    events = [event for event in faults.events if event != "connect"]
    assert events == ["GET 1", "200", "GET 2", "200", "GET 2", "200"]
    faults.listen({2: [WHOLE[name]] * 3})
    with pytest.raises(ResponseDecodeError) as caught:
        await pull(faults.url)
    assert (caught.value.page, caught.value.attempts) == (2, 3)


async def test_gzip_in_two_members_is_one_page(faults: FaultServer) -> None:
    """The second member is not dropped, over a chunked body either."""
    faults.listen({2: [packed(MEMBERS)]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == EVERYBODY
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "200"]


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate"])
async def test_encodings_not_asked_for_are_refused_at_once(
    faults: FaultServer, encoding: str
) -> None:
    """One coding at most, and only ours: anything else is no answer of this API."""
    faults.listen({2: [packed(gzip.compress(PACKED), encoding)]})
    with pytest.raises(UnexpectedResponseError) as caught:
        await pull(faults.url)
    assert caught.value.attempts == 1
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "200"]


@pytest.mark.parametrize(
    "endless",
    [
        [["note", "200"], ["send", CHUNKED], ["repeat", f"10000\r\n{'x' * 65_536}\r\n"]],
        [["note", "200"], ["send", head(content_length=10**10)], ["repeat", "x" * 65_536]],
    ],
    ids=["chunked", "10 GB"],
)
async def test_endless_bodies_are_cut_off(faults: FaultServer, endless: Steps) -> None:
    """A body without end is an error as soon as it is larger than any page, at one attempt."""
    faults.listen({2: [endless]})
    with pytest.raises(ResponseTooLargeError) as caught:
        await pull(faults.url, timeout=10, max_body=2**20)
    assert caught.value.attempts == 1
    assert faults.settled() == 0
    # What was read, and what the buffers of two sockets take.
    assert faults.look()["repeated"] < 2**24
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "200"]


@pytest.mark.parametrize("how", ["at once", "a moment later", "cut", "cut by a moment"])
async def test_answer_that_nobody_asked_for_is_not_taken(faults: FaultServer, how: str) -> None:
    """Bytes behind an answer never become the answer to the next request on that connection."""
    stray = complete(body(page(2, 10, range(101, 121))))
    if "cut" in how:
        stray = stray[: len(stray) // 2]
    first = [["note", "200"], ["send", whole(1) + stray]]
    if "moment" in how:
        first = [["note", "200"], ["send", whole(1)], ["send", stray]]
    faults.listen({1: [first]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == EVERYBODY
    # Whether the request was already on its way on the old connection depends on what is seen.
    events = faults.events
    assert events[:3] == ["connect", "GET 1", "200"]
    assert events[-3:] == ["connect", "GET 2", "200"]
    assert contacts.report.requests == len(faults.look()["heads"]) <= 3


async def test_closed_port_is_tried_again_and_sees_nothing(faults: FaultServer) -> None:
    """Nobody listening costs all attempts and no byte."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailedError, match="could not connect") as caught:
            await pull(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (caught.value.page, caught.value.attempts) == (1, 3)


async def test_black_hole_costs_its_timeout_and_no_more(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that nobody answers is given up in time, every time."""
    faults.listen(black_hole=True)
    monkeypatch.setattr(sender, "CONNECT_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(RequestTimeoutError, match=r"no connection to 127\.0\.0\.1 in") as caught:
        await pull(faults.url.replace("localhost", "127.0.0.1"), timeout=5, attempts=2)
    longest_pause = 0.1
    assert 0.6 <= time.monotonic() - start <= 2 * (0.3 + 0.1) + longest_pause
    assert caught.value.attempts == 2


async def test_unknown_host_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody knows is said with the host alone, after all attempts."""
    asked = 0

    def unknown(*_: object, **__: object) -> object:
        nonlocal asked
        asked += 1
        raise socket.gaierror(socket.EAI_NONAME, "canary")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConnectionFailedError) as caught:
        await pull("https://burki.example", timeout=5)
    assert caught.value.message == "could not connect to burki.example"
    assert asked == caught.value.attempts == 3


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Make each look-up of a name take 0.5 s of a thread; return how many ran at once at most."""
    look_up = socket.getaddrinfo
    lock = threading.Lock()
    running = most = 0

    def slow(*arguments: Any, **options: Any) -> Any:
        nonlocal running, most
        if arguments[0] not in ("localhost", b"localhost"):
            return look_up(*arguments, **options)
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.5)
        with lock:
            running -= 1
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    return lambda: most


async def test_fifty_connections_do_not_queue_for_names(
    faults: FaultServer, slow_names: Callable[[], int]
) -> None:
    """Fifty requests at once with slow look-ups: none fails, and few connections are opened."""
    faults.listen(latency=0.02)
    async with BurkiClient(
        KEY, base_url=faults.url, concurrency=50, timeout=2, attempts=1
    ) as burki:
        contacts = burki.contacts(42)
        assert await asyncio.gather(*(contacts.count() for _ in range(50))) == [TOTAL] * 50
    assert 0 < slow_names() <= 4
    assert len(faults.look()["heads"]) == 50
    # Those that waited took the connections that came free, rather than one each.
    assert faults.look()["accepted"] < 25


async def test_certificates_are_read_once(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty first requests at once do not read the certificates fifty times."""
    make, made = connection_pool.load_tls_context, 0

    def counted() -> ssl.SSLContext:
        nonlocal made
        made += 1
        return make()

    monkeypatch.setattr(connection_pool, "load_tls_context", counted)
    faults.listen()
    async with BurkiClient(KEY, base_url=faults.url, concurrency=50) as burki:
        await asyncio.gather(*(burki.contacts(42).count() for _ in range(50)))
    assert made == 1


async def test_open_connections_do_not_wait_for_those_being_opened(
    faults: FaultServer, slow_names: Callable[[], int]
) -> None:
    """While others connect, whoever finds an open connection sends at once."""
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


async def test_cancelled_waits_for_a_connection_block_nobody(
    faults: FaultServer, slow_names: Callable[[], int]
) -> None:
    """Whoever gives up while connections are opened leaves the turn to the others."""
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


@pytest.mark.parametrize("how", ["close", "say so", "expire"])
async def test_connections_are_opened_again_a_few_at_a_time(
    faults: FaultServer,
    slow_names: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """Connections that the server closes, or that rested too long, are no way round the bound."""
    payload = body(page(1, 1, range(1, TOTAL + 1)))
    if how == "expire":
        monkeypatch.setattr(connection_pool, "KEEPALIVE_SECONDS", 0.0)
    headers = {"connection": "close"} if how == "say so" else {}
    end: Steps = [] if how == "expire" else [["close"]]
    faults.listen({1: [[*says(200, payload, **headers), *end]] * 24}, latency=0.1)
    async with BurkiClient(KEY, base_url=faults.url, concurrency=12) as burki:
        contacts = burki.contacts(42)
        for _ in range(2):
            assert await asyncio.gather(*(contacts.count() for _ in range(12))) == [TOTAL] * 12
            await asyncio.sleep(0.05)
    assert faults.look()["accepted"] >= 24
    assert 0 < slow_names() <= 4


@contextmanager
def descriptors(number: int) -> Iterator[None]:
    """Let the process open so many more files and sockets."""
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


async def test_few_descriptors_are_enough(faults: FaultServer) -> None:
    """At the limit of descriptors a pull goes on with the connections it has."""
    faults.listen(total=400, latency=0.01)
    async with BurkiClient(KEY, base_url=faults.url, concurrency=32, timeout=5) as burki:
        await burki.contacts(42).count()  # certificates are read, threads are there
        with descriptors(6):
            contacts = await burki.contacts(42, per_page=10)
        assert [contact.id for contact in contacts] == list(range(1, 401))
        assert contacts.report.retries > 0
        assert faults.look()["open"] <= 1 + 6


async def test_no_descriptor_at_all_is_a_failed_connection(faults: FaultServer) -> None:
    """Without any descriptor the error comes after all attempts, and afterwards all is well."""
    for is_warm in (False, True):
        faults.listen({9: [STALL]})
        async with BurkiClient(KEY, base_url=faults.url, attempts=2, timeout=5) as burki:
            contacts = burki.contacts(42)
            await asyncio.to_thread(os.getpid)
            if is_warm:  # certificates have been read, and the one connection is in use
                await contacts.count()
                stalled = asyncio.ensure_future(contacts.page(9))
                await asyncio.sleep(0.05)
            with descriptors(0), pytest.raises(ConnectionFailedError) as caught:
                await contacts
            assert caught.value.attempts == 2
            assert len(await contacts) == TOTAL
            if is_warm:
                stalled.cancel()
                await asyncio.wait((stalled,))
