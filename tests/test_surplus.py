"""A server that sends one response too many: no response is taken for that to another request."""

from __future__ import annotations

import asyncio
import select
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
from pages import KEY, body, page

from aioburki import BurkiClient, ResponseDecodeError
from aioburki._endpoint import ListQuery
from aioburki._http import echo
from aioburki._http.network import NetworkStream
from aioburki._list_contacts import CONTACTS
from aioburki._page import PageWindow, Pagination
from aioburki._requests.echo_check import MAX_KEPT, EchoCheck

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]


@attrs.define
class Server:
    """Serve 30 contacts of any campaign, whose ids begin at 1,000 times its number.

    Each of the first *shifted* connections sends the response to request *surplus* twice: the
    second time at once, or *late*, which is when the next request has come.
    """

    surplus: int = 1
    late: bool = True
    shifted: int = 1000
    holds: bool = False
    """Send the response that follows a surplus one only when yet another request has come."""
    connections: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        is_shifted = self.connections <= self.shifted
        number, pending = 0, b""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                number += 1
                response = response_to(head.split()[1].decode())
                writer.write(pending)
                if pending and self.holds:
                    await reader.readuntil(b"\r\n\r\n")
                writer.write(response)
                pending = response if is_shifted and number == self.surplus else b""
                if not self.late:
                    writer.write(pending)
                    pending = b""
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BurkiClient]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, BurkiClient(KEY, base_url=url, concurrency=1) as burki:
            yield burki


def response_to(target: str) -> bytes:
    parts = urlsplit(target)
    query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
    first = 1000 * int(parts.path.split("/")[-2])
    content = body(page(query["page"], query["per_page"], range(first, first + 30)))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)


@pytest.mark.parametrize("late", [False, True])
async def test_another_campaign_does_not_get_a_surplus_response(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second response to campaign 1 is not taken for campaign 2, though it looks the same."""
    monkeypatch.setattr(echo, "SURPLUS_SECONDS", 60)
    server = Server(late=late)
    async with server.running() as burki:
        for campaign in (1, 2, 3):
            contacts = await burki.contacts(campaign)
            first = 1000 * campaign
            assert [each.id for each in contacts] == list(range(first, first + 30))
            assert contacts.report.requests == 1


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("surplus", [1, 2])
async def test_another_page_does_not_fail_for_a_surplus_response(late: bool, surplus: int) -> None:
    """A pull whose pages come shifted by one asks again on a new connection and is complete."""
    server = Server(surplus=surplus, late=late)
    async with server.running() as burki:
        contacts = await burki.contacts(4, per_page=10)
    assert [each.id for each in contacts] == list(range(4000, 4030))


async def test_a_shifted_connection_is_not_used_again() -> None:
    """After a response of another page its connection is closed: one retry is enough."""
    server = Server(shifted=1, holds=True)
    async with server.running() as burki:
        contacts = await burki.contacts(4, per_page=5)
    assert [each.id for each in contacts] == list(range(4000, 4030))
    assert contacts.report.retries == 1
    assert server.connections == 2


@pytest.mark.parametrize("has_poll", [True, False])
async def test_bytes_in_the_socket_are_seen(
    has_poll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream is not silent if bytes or its end are in the socket, unseen by the loop."""
    if not has_poll:
        monkeypatch.delattr(select, "poll")
    for data in (b"x", b""):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(NetworkStream, sock=ours)
        with theirs:
            assert stream.is_silent
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            assert not stream.has_unread
            assert not stream.is_silent
            stream.close()
            assert not stream.is_silent
        await asyncio.sleep(0)


async def test_connections_are_reused_where_responses_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without surplus, pages of one list and later requests for others use one connection."""
    server = Server(shifted=0)
    async with server.running() as burki:
        monkeypatch.setattr(echo, "SURPLUS_SECONDS", 60)
        await burki.contacts(1, per_page=10)
        await burki.contacts(2, per_page=7)
        assert server.connections == 1
        await burki.contacts(3, per_page=7).page(1)
        await burki.contacts(4, per_page=7).page(1)
        assert server.connections == 2
        monkeypatch.setattr(echo, "SURPLUS_SECONDS", 0)
        await burki.contacts(5, per_page=7).page(1)
    assert server.connections == 2


def pagination(number: int, per_page: int) -> Pagination:
    return Pagination(number, per_page, 100, 10, has_next=True, has_prev=False)


QUERY = ListQuery(CONTACTS, 42)


async def test_a_page_number_that_comes_twice_is_final() -> None:
    """Another page is a transient failure once, and a final one if it comes again."""
    check = EchoCheck()
    found = [check.mismatch(QUERY, PageWindow(2, 10), pagination(1, 10)) for _ in range(3)]
    assert [each.is_repeated for each in found if each] == [False, True, False]
    assert check.mismatch(QUERY, PageWindow(3, 10), pagination(2, 10))
    other = check.mismatch(QUERY, PageWindow(3, 10), pagination(4, 10))
    assert other is not None
    assert not other.is_repeated


async def test_a_page_size_must_be_as_requested_if_it_was_before() -> None:
    """Smaller pages are accepted until the server has sent pages as large as requested."""
    check = EchoCheck()
    assert check.mismatch(QUERY, PageWindow(1, 1000), pagination(1, 100)) is None
    assert check.mismatch(QUERY, PageWindow(1, 50), pagination(1, 50)) is None
    assert check.mismatch(QUERY, PageWindow(2, 100), pagination(2, 60)) is None
    wrong = check.mismatch(QUERY, PageWindow(2, 40), pagination(2, 50))
    assert wrong is not None
    assert wrong.problem == "pagination.per_page: 50 came instead"
    assert check.mismatch(QUERY, PageWindow(2, 40), pagination(2, 50)) is None
    assert check.mismatch(QUERY, PageWindow(3, 40), pagination(3, 50)) is None


async def test_mismatches_of_cancelled_requests_do_not_add_up() -> None:
    """Requests that are not repeated after a mismatch do not take ever more memory."""
    check = EchoCheck()
    for number in range(2, MAX_KEPT + 20):
        check.mismatch(QUERY, PageWindow(number, 10), pagination(1, 10))
    assert len(check._problems) <= MAX_KEPT


@pytest.mark.virtual_clock
async def test_one_wrong_page_is_asked_for_again() -> None:
    """With any transport a response of another page is asked for once more."""
    asked: Counter[int] = Counter()

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        asked[number] += 1
        sent = 1 if number == 2 and asked[2] == 1 else number
        return httpx.Response(200, json=page(sent, 10, range(1, 31)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert [each.id for each in contacts] == list(range(1, 31))
    assert contacts.report.retries == 1


@pytest.mark.virtual_clock
async def test_a_server_that_ignores_the_page_is_asked_twice() -> None:
    """The same wrong page twice raises the error, without further attempts."""
    asked: Counter[int] = Counter()

    def handler(request: httpx.Request) -> httpx.Response:
        asked[int(request.url.params["page"])] += 1
        return httpx.Response(200, json=page(1, 10, range(1, 31)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler), concurrency=1) as burki:
        with pytest.raises(ResponseDecodeError, match="page 1 came instead"):
            await burki.contacts(42, per_page=10, complete=False)
    assert max(asked.values()) == 2
