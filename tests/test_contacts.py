"""Whole pulls: each contact is delivered once, in order, without unneeded requests."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import httpx
import pytest
import pytest_asyncio
from pages import KEY, ListServer, contact, page

from aioburki import (
    AuthenticationError,
    BurkiClient,
    ClientClosedError,
    ConfigurationError,
    Contact,
    ContactList,
    ContactPage,
    ContactStream,
    NotFoundError,
    PermissionDeniedError,
    ResponseDecodeError,
)
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


def ids(contacts: list[Contact]) -> list[int]:
    return [contact.id for contact in contacts]


@pytest_asyncio.fixture
async def sandbox() -> Sandbox:
    return Sandbox(2_500, latency=0.05)


@pytest_asyncio.fixture
async def burki(sandbox: Sandbox) -> AsyncIterator[BurkiClient]:
    async with BurkiClient(KEY, transport=sandbox.transport) as client:
        yield client


async def test_await_returns_all_contacts_with_a_report(
    burki: BurkiClient, sandbox: Sandbox
) -> None:
    """`await` returns each contact once, in the server's order, and a report of the pull."""
    contacts = await burki.contacts(42, per_page=100)
    assert isinstance(contacts, ContactList)
    assert isinstance(contacts, list)
    assert ids(contacts) == list(range(101, 2601))
    report = contacts.report
    assert (report.contacts, report.pages, report.requests) == (2500, 25, 25)
    assert (report.retries, report.rate_limited, report.duplicates) == (0, 0, 0)
    assert report.consistent
    assert report.drift == ()
    assert report.elapsed == pytest.approx(0.05 * 5)  # pages 1, 4, 8, 8, 4 at a time
    assert report.waited == 0
    assert repr(contacts) == "<ContactList: 2,500 contacts>"
    assert sandbox.requests == 25
    assert sandbox.most_in_flight == 8


async def test_all_ways_deliver_the_same(burki: BurkiClient) -> None:
    """`await`, `async for`, `pages()` and `stream()` deliver the same contacts."""
    contacts = burki.contacts(42, per_page=300)
    awaited = list(await contacts)
    assert [contact async for contact in contacts] == awaited
    pages = [page async for page in contacts.pages()]
    assert [contact for page in pages for contact in page] == awaited
    assert [page.pagination.page for page in pages] == list(range(1, 10))
    assert all(isinstance(page, ContactPage) for page in pages)
    async with contacts.stream() as stream:
        assert [contact async for contact in stream] == awaited
    assert stream.report.contacts == 2500
    assert repr(stream) == "<ContactStream: 2,500 contacts so far>"


async def test_contacts_are_lazy_and_can_be_read_again(
    burki: BurkiClient, sandbox: Sandbox
) -> None:
    """A `Contacts` sends no request until it is read, and each reading is a new pull."""
    contacts = burki.contacts(42)
    await asyncio.sleep(1)
    assert sandbox.requests == 0
    assert await contacts == await contacts
    assert sandbox.requests == 6
    sandbox.add(1)
    assert len(await contacts) == 2501


@pytest.mark.parametrize("total", [0, 1, 999, 1000, 1001, 2000, 2001])
async def test_exactly_as_many_requests_as_pages(total: int) -> None:
    """An unchanging list costs total_pages requests, or one if it is empty."""
    sandbox = Sandbox(total)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        contacts = await burki.contacts(42)
        assert len(contacts) == total
        assert contacts.report.consistent
        assert sandbox.requests == max(1, -(-total // 1000))
        assert await burki.contacts(42).count() == total


async def test_status_is_filtered_by_the_server(burki: BurkiClient) -> None:
    """A pull with a status delivers exactly the contacts that have it."""
    failed = await burki.contacts(42, status="failed")
    assert {contact.status for contact in failed} == {"failed"}
    contacts = await burki.contacts(42)
    assert failed == [contact for contact in contacts if contact.status == "failed"]


async def test_status_is_sent_with_every_page() -> None:
    """The status parameter is part of every request of a pull."""
    statuses: list[str | None] = []
    server = ListServer(range(1, 101))

    def handler(request: httpx.Request) -> httpx.Response:
        statuses.append(request.url.params.get("status"))
        return server(request)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        assert len(await burki.contacts(42, status="completed", per_page=10)) == 100
    assert statuses == ["completed"] * 10


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    ("limit", "requests"), [(0, 0), (1, 1), (99, 1), (100, 1), (101, 2), (2500, 25), (9999, 25)]
)
async def test_limit_is_a_number_of_contacts(
    burki: BurkiClient, sandbox: Sandbox, limit: int, requests: int, complete: bool
) -> None:
    """At most `limit` contacts are delivered, and no unneeded page is requested."""
    contacts = await burki.contacts(42, per_page=100, limit=limit, complete=complete)
    assert ids(contacts) == list(range(101, 2601))[:limit]
    assert contacts.report.contacts == min(limit, 2500)
    assert contacts.report.consistent
    assert sandbox.requests == requests
    limited = burki.contacts(42, per_page=100, limit=limit, complete=complete)
    assert sum([len(page) async for page in limited.pages()]) == min(limit, 2500)


async def test_count_and_page_take_one_request(burki: BurkiClient, sandbox: Sandbox) -> None:
    """`count()` and `page()` send one request; `limit` applies to the count only."""
    assert await burki.contacts(42).count() == 2500
    assert await burki.contacts(42, limit=7).count() == 7
    assert await burki.contacts(42, status="busy").count() < 500
    assert sandbox.requests == 3
    third = await burki.contacts(42, per_page=100, limit=7).page(3)
    assert ids(list(third)) == list(range(301, 401))
    assert sandbox.requests == 4
    assert len(await burki.contacts(42).page(99)) == 0
    for number in (0, -1, True, "3"):
        with pytest.raises(ConfigurationError, match="page must be a whole number"):
            # "3" is no number: users without a type checker get an error before any request.
            await burki.contacts(42).page(number)  # type: ignore[arg-type]
    assert sandbox.requests == 5


async def test_prefetch_is_bounded_while_the_consumer_sleeps(
    burki: BurkiClient, sandbox: Sandbox
) -> None:
    """At most four times `concurrency` pages are prefetched."""
    async with burki.contacts(42, per_page=10).stream() as stream:
        async for _ in stream:
            await asyncio.sleep(1000)
            assert sandbox.requests == 1 + 4 * 8
            break
    assert sandbox.requests == 1 + 4 * 8


async def test_one_client_bounds_all_its_pulls(sandbox: Sandbox) -> None:
    """`concurrency` bounds all pulls of a client together, and they share it fairly."""
    async with BurkiClient(KEY, transport=sandbox.transport, concurrency=4) as burki:
        ends: list[float] = []

        async def pull() -> None:
            assert len(await burki.contacts(42, per_page=50)) == 2500
            ends.append(asyncio.get_running_loop().time())

        start = asyncio.get_running_loop().time()
        await asyncio.gather(*(pull() for _ in range(5)))
    assert sandbox.most_in_flight == 4
    assert max(ends) - start <= 2 * (min(ends) - start)


async def test_growing_list_is_read_to_its_new_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Contacts appended during the pull are delivered, and the growth is logged once."""

    def grow(server: ListServer, number: int) -> None:
        if number in (3, 4, 5):
            server.ids.extend(range(len(server.ids) + 1, len(server.ids) + 11))

    server = ListServer(range(1, 31), grow)
    async with BurkiClient(KEY, transport=server.transport, concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=10, complete=False)
    assert ids(contacts) == list(range(1, 61))
    assert server.asked == [1, 2, 3, 4, 5, 6]
    assert not contacts.report.consistent
    assert contacts.report.drift == (
        "the server counted 30 contacts at first and 60 at last, between 30 and 60",
        "the list grew from 3 to 6 pages while it was read",
    )
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].getMessage() == (
        "campaign 42 moved while it was read: " + "; ".join(contacts.report.drift)
    )
    assert "moved while it was read" in repr(contacts)


async def test_last_page_that_filled_up_is_read_again() -> None:
    """A short last page is read again if an earlier page shows later that the list grew."""

    async def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        # Page 5 is sent first, when there are 450 contacts; the others when there are 650.
        await asyncio.sleep(0.1 if number == 5 and not grown else 1)
        ids = range(1, 651) if grown and number != 1 else range(1, 451)
        if number == 5:
            grown.append(True)
        return httpx.Response(200, json=page(number, 100, ids))

    grown: list[bool] = []
    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=100, complete=False)
    assert ids(contacts) == list(range(1, 651))
    assert contacts.report.requests == 8
    assert contacts.report.duplicates == 0
    assert contacts.report.drift == (
        "the server counted 450 contacts at first and 650 at last, between 450 and 650",
        "the list grew from 5 to 7 pages while it was read",
    )


async def test_contact_appended_to_the_last_page_is_delivered() -> None:
    """A short last page is read again if one contact was added to it."""

    async def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        await asyncio.sleep(1 if number == 2 else 0.1)
        total = 25 if asyncio.get_running_loop().time() < start + 0.5 else 26
        return httpx.Response(200, json=page(number, 10, range(1, total + 1)))

    start = asyncio.get_running_loop().time()
    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=10, complete=False)
    assert ids(contacts) == list(range(1, 27))
    assert contacts.report.requests == 4


async def test_page_with_fewer_rows_than_its_total_is_read_again() -> None:
    """A page that holds fewer contacts than its own total_items implies is read once more."""
    requests: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        requests.append(number)
        if number == 3 and requests.count(3) == 1:  # rows of 240 contacts, a total of 500
            content = page(3, 100, range(1, 501))
            content["contacts"] = content["contacts"][:40]
            return httpx.Response(200, json=content)
        grown = 3 in requests and number != 2
        return httpx.Response(200, json=page(number, 100, range(1, 501 if grown else 241)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler), concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=100, complete=False)
    assert ids(contacts) == list(range(1, 501))
    assert sorted(requests) == [1, 2, 3, 3, 4, 5]


async def test_endless_pages_without_new_contacts_end_the_pull() -> None:
    """A pull ends although every page without new contacts announces another page."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        content = page(1, 2, [1, 2], page=number, total_pages=number + 1, has_next=True)
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=2)
    assert ids(contacts) == [1, 2]
    assert contacts.report.requests < 1100
    assert not contacts.report.consistent


@pytest.mark.parametrize("seed", range(40))
async def test_random_growth_loses_no_contact(seed: int) -> None:
    """Of a growing list, all contacts up to the highest total_items seen are delivered."""
    draw = random.Random(seed)
    known = list(range(1, draw.randrange(1, 80)))
    max_total = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal max_total
        number = int(request.url.params["page"])
        await asyncio.sleep(draw.random())
        if draw.random() < 0.3:
            known.extend(range(len(known) + 1, len(known) + draw.randrange(1, 25)))
        content = page(number, 10, known)
        max_total = max(max_total, content["pagination"]["total_items"])
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert ids(contacts) == list(range(1, max_total + 1))


async def test_contacts_repeated_on_the_next_page_are_delivered_once() -> None:
    """A contact inserted before the current page repeats another, which is delivered once."""

    def insert(server: ListServer, number: int) -> None:
        if number == 2:
            server.ids.insert(0, 999)

    server = ListServer(range(30, 0, -1), insert)
    async with BurkiClient(KEY, transport=server.transport, concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=10, complete=False)
        assert ids(contacts) == list(range(30, 0, -1))
        assert contacts.report.duplicates == 1
        assert "1 duplicate contact left out" in contacts.report.drift
        server.ids = list(range(30, 0, -1))
        pages = [
            len(page) async for page in burki.contacts(42, per_page=10, complete=False).pages()
        ]
    assert pages == [10, 9, 10, 1]


async def test_removed_contacts_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A contact removed before the current page hides another, and the report shows it."""

    def remove(server: ListServer, number: int) -> None:
        if number == 2:
            del server.ids[0]

    server = ListServer(range(1, 31), remove)
    async with BurkiClient(KEY, transport=server.transport, concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=10, complete=False)
    assert 11 not in ids(contacts)
    assert not contacts.report.consistent
    assert caplog.text.count("campaign 42 moved while it was read") == 1


async def test_drift_of_an_abandoned_pull_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Drift that was seen before a break out of the pull is logged."""
    server = ListServer(range(1, 31), lambda server, number: server.ids.append(100 + number))
    async with BurkiClient(KEY, transport=server.transport, concurrency=1) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            async for contact in stream:
                if contact.id == 20:
                    break
            assert not stream.report.consistent
    assert caplog.text.count("campaign 42 moved while it was read") == 1


async def test_empty_page_in_the_middle_is_not_the_end() -> None:
    """An empty page before the last is reported, and the pages after it are read."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        content = page(number, 10, range(1, 41))
        if number == 2:
            content["contacts"] = []
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=10, complete=False)
    assert ids(contacts) == [*range(1, 11), *range(21, 41)]
    assert "page 2 did not hold as many contacts as announced" in contacts.report.drift


async def test_contacts_in_any_order_are_delivered_once() -> None:
    """A list whose ids are in no order is delivered completely."""
    order = [(number * 7919) % 1009 for number in range(1009)]
    server = ListServer(order)
    async with BurkiClient(KEY, transport=server.transport) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert ids(contacts) == order
    assert contacts.report.consistent


async def test_server_that_ignores_the_page_number_raises() -> None:
    """A server that sends page 1 for every page raises ResponseDecodeError."""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=page(1, 10, range(1, 101)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        with pytest.raises(ResponseDecodeError, match=r"pagination\.page: page 1 came instead"):
            await burki.contacts(42, per_page=10)


async def test_a_status_of_the_server_can_be_requested() -> None:
    """A status that is not documented, but that a contact has, is passed on; its range too."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("status", ""))
        content = page(1, 1000, [1])
        content["contacts"][0]["status"] = "on hold & later"
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        [contact] = await burki.contacts(42)
        contacts = burki.contacts(42, status=contact.status)
        assert len(await contacts) == 1
        assert len(await burki.contacts(str(contacts.range))) == 1
    assert asked == ["", "on hold & later", "on hold & later"]


async def test_lower_page_size_of_the_server_is_used() -> None:
    """A server that sends smaller pages than requested is read with its page size."""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=page(int(request.url.params["page"]), 10, range(1, 101)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=1000)
        assert ids(contacts) == list(range(1, 101))
        assert contacts.report.consistent
        assert ids(await burki.contacts(42, per_page=1000, limit=15)) == list(range(1, 16))


async def test_key_revoked_on_page_seven() -> None:
    """After the first 401 no new request is sent, and the error names the page."""
    requests: list[int] = []
    refused_at: list[int] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        requests.append(number)
        await asyncio.sleep(0.05 if number == 7 else 0.1)
        if number >= 7:
            refused_at.append(len(requests))
            return httpx.Response(401, json={"detail": "Invalid API key"})
        return httpx.Response(200, json=page(number, 10, range(1, 5001)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        with pytest.raises(AuthenticationError) as caught:
            await burki.contacts(42, per_page=10)
        await asyncio.sleep(10)
    assert caught.value.page == 7
    assert caught.value.detail == "Invalid API key"
    # One request, then four; from the first of their answers on one more for each.
    assert len(requests) == refused_at[0] == 13


@pytest.mark.parametrize("past_end", ["empty", "404", "last page"])
async def test_plain_pull_of_a_list_that_becomes_shorter(past_end: str) -> None:
    """What has moved to the page that is the last one now is delivered; its end is no error."""
    left: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number == 5:
            left.extend(range(1, 25))
        ids = [each for each in range(1, 61) if each not in left]
        if number > 4 and past_end == "404" and left:
            return httpx.Response(404, json={"detail": "no such page"})
        if past_end == "last page":
            number = min(number, -(-len(ids) // 10))
        return httpx.Response(200, json=page(number, 10, ids))

    transport = httpx.MockTransport(handler)
    async with BurkiClient(KEY, transport=transport, concurrency=1) as burki:
        contacts = await burki.contacts(42, per_page=10, complete=False)
    assert ids(contacts) == [*range(1, 41), *range(55, 61)]


async def test_complete_pull_past_the_end_of_a_server_that_returns_its_last_page() -> None:
    """A page past the end for which the last page comes, with its own number, proves nothing."""
    present = list(range(1, 301))

    def handler(request: httpx.Request) -> httpx.Response:
        number, size = int(request.url.params["page"]), int(request.url.params["per_page"])
        if number == 4 and len(present) == 300:
            del present[:150]
        number = min(number, -(-len(present) // size))
        return httpx.Response(200, json=page(number, size, present))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        contacts = await burki.contacts(42, per_page=30)
        assert set(range(151, 301)) <= set(ids(contacts))
        assert contacts.report.complete
        with pytest.raises(ResponseDecodeError, match="came instead") as caught:
            await burki.contacts(42, per_page=30).page(9)
    assert caught.value.last_page == 5


@pytest.mark.parametrize("complete", [True, False])
async def test_announced_page_for_which_another_comes(complete: bool) -> None:
    """A server that answers an announced page with another one is not believed to have ended."""

    def handler(request: httpx.Request) -> httpx.Response:
        number, size = int(request.url.params["page"]), int(request.url.params["per_page"])
        content = page(min(number, 2), size, range(100))
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        with pytest.raises(ResponseDecodeError, match="page 2 came instead"):
            await burki.contacts(42, per_page=20, complete=complete)


async def test_pages_that_are_counted_and_not_announced() -> None:
    """All contacts that the server counts are fetched, whatever number of pages it announces."""

    def handler(request: httpx.Request) -> httpx.Response:
        content = page(int(request.url.params["page"]), 10, range(100))
        content["pagination"]["total_pages"] = 8
        content["pagination"]["has_next"] = int(request.url.params["page"]) < 8
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        for complete in (True, False):
            contacts = await burki.contacts(42, per_page=10, complete=complete)
            assert len(contacts) == 100
            assert contacts.report.requests == 10


async def test_404_on_an_announced_page_raises() -> None:
    """A page that stays 404 raises NotFoundError if page 1, read again, announces it."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number == 3:
            return httpx.Response(404, json={"detail": "Campaign not found"})
        return httpx.Response(200, json=page(number, 10, range(1, 101)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        got = []
        with pytest.raises(NotFoundError, match="page 3"):
            async for each in burki.contacts(42, per_page=10, complete=False):
                got.append(each.id)
    assert got == list(range(1, 21))


async def test_bad_contact_names_campaign_page_and_place() -> None:
    """The error for one malformed contact names its place and does not show its values."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        content = page(number, 100, range(1, 1001))
        if number == 4:
            content["contacts"][17] = contact(17, status=["yesterday"])
        return httpx.Response(200, json=content)

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        with pytest.raises(ResponseDecodeError) as caught:
            await burki.contacts(42, per_page=100)
    error = caught.value
    assert (error.campaign_id, error.page) == (42, 4)
    assert error.problems == ("contacts[17].status: expected text, got a list",)
    assert "contacts[17].status" in str(error)
    assert "yesterday" not in str(error)


async def test_stream_reports_as_it_grows(burki: BurkiClient) -> None:
    """The report of a stream can be read before, during and after the pull."""
    stream = burki.contacts(42, per_page=100).stream()
    assert stream.report.requests == 0
    assert stream.report.elapsed == 0
    async with stream:
        assert (stream.report.pages, stream.report.contacts) == (0, 0)
        seen = 0
        async for _ in stream:
            seen += 1
            if seen == 150:
                break
        report = stream.report
        assert report.pages == 2
        assert report.contacts == 200
        assert report.elapsed > 0
    after = stream.report
    await asyncio.sleep(5)
    assert stream.report == after


async def test_stream_continues_in_a_second_loop(burki: BurkiClient) -> None:
    """Within its block a stream can be iterated in several loops, each continuing the last."""
    async with burki.contacts(42).stream() as stream:
        first = [contact.id async for contact in _take(stream, 5)]
        rest = [contact.id async for contact in stream]
    assert first + rest == list(range(101, 2601))


async def _take(stream: ContactStream, number: int) -> AsyncIterator[Contact]:
    iterator = aiter(stream)
    for _ in range(number):
        yield await anext(iterator)


async def test_deadlines_around_single_contacts_of_a_stream_lose_none() -> None:
    """A stream continues after its `anext` was cancelled by a deadline."""
    sandbox = Sandbox(300, latency=1.0)
    async with BurkiClient(KEY, transport=sandbox.transport, concurrency=1) as burki:
        seen: list[int] = []
        timeouts = 0
        async with burki.contacts(42, per_page=50).stream() as stream:
            while True:
                try:
                    async with asyncio.timeout(0.7):
                        seen.append((await anext(stream)).id)
                except TimeoutError:
                    timeouts += 1
                except StopAsyncIteration:
                    break
    assert seen == list(range(101, 401))
    assert timeouts >= 5
    assert sandbox.requests == 6


async def test_several_tasks_can_share_a_stream(burki: BurkiClient, sandbox: Sandbox) -> None:
    """Tasks that iterate over the same stream together get each contact once."""
    got: list[int] = []

    async def work() -> None:
        async for each in stream:
            got.append(each.id)
            await asyncio.sleep(0.001)

    async with burki.contacts(42, per_page=100).stream() as stream:
        await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(got) == list(range(101, 2601))
    assert stream.report.consistent
    assert sandbox.requests == 25


async def test_failed_stream_stays_failed() -> None:
    """Iterating over a stream after an error raises that error again."""

    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        status = 403 if number == 3 else 200
        return httpx.Response(status, json=page(number, 10, range(1, 101)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(handler)) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            for expected in (20, 0, 0):
                got = 0
                with pytest.raises(PermissionDeniedError):
                    async for _ in stream:
                        got += 1
                assert got == expected


async def test_stream_cannot_be_entered_twice(burki: BurkiClient) -> None:
    """Entering a stream a second time raises RuntimeError."""
    stream = burki.contacts(42).stream()
    async with stream:
        with pytest.raises(RuntimeError, match="this stream has ended"):
            async with stream:
                pass
    with pytest.raises(RuntimeError, match="this stream has ended"):
        async with stream:
            pass


async def test_leaving_a_stream_that_another_task_reads(
    burki: BurkiClient, sandbox: Sandbox
) -> None:
    """The block ends with its own exception, and the other task gets a RuntimeError."""

    async def read() -> None:
        async for _ in stream:
            pass

    with pytest.raises(KeyError):
        async with burki.contacts(42, per_page=10).stream() as stream:
            reading = asyncio.create_task(read())
            await asyncio.sleep(0.06)
            raise KeyError
    sent = sandbox.requests
    assert not [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
    with pytest.raises(RuntimeError, match=r"was left|inside its"):
        await reading
    await asyncio.sleep(10)
    assert sandbox.requests == sent


async def test_report_can_be_read_from_another_thread(burki: BurkiClient) -> None:
    """The report of a stream can be read in a thread without an event loop."""
    async with burki.contacts(42).stream() as stream:
        await anext(stream)
        with ThreadPoolExecutor() as threads:
            assert threads.submit(lambda: stream.report).result().contacts == 1000


async def test_stream_outside_its_block_is_an_error(burki: BurkiClient, sandbox: Sandbox) -> None:
    """Iterating over a stream outside its block raises RuntimeError and sends no request."""
    stream = burki.contacts(42).stream()
    with pytest.raises(RuntimeError, match="inside its `async with` block"):
        aiter(stream)
    assert sandbox.requests == 0
    async with stream:
        pass
    sent = sandbox.requests
    with pytest.raises(RuntimeError, match="inside its `async with` block"):
        aiter(stream)
    await asyncio.sleep(10)
    assert sandbox.requests == sent


async def test_pages_can_be_closed(burki: BurkiClient, sandbox: Sandbox) -> None:
    """`aclosing` ends a pull of pages at once."""
    async with aclosing(burki.contacts(42, per_page=10).pages()) as pages:
        async for each in pages:
            assert each.pagination.page == 1
            break
    sent = sandbox.requests
    await asyncio.sleep(10)
    assert sandbox.requests == sent


async def test_memory_does_not_grow_with_the_list() -> None:
    """A stream holds the contacts of prefetched pages, and none of delivered pages."""
    sandbox = Sandbox(20_000)
    max_alive = 0
    async with BurkiClient(KEY, transport=sandbox.transport, concurrency=2) as burki:
        async with burki.contacts(42, per_page=50).stream() as stream:
            async for each in stream:
                if each.id % 2000 == 0:
                    await asyncio.sleep(1)
                    gc.collect()
                    alive = sum(type(thing) is Contact for thing in gc.get_objects())
                    max_alive = max(max_alive, alive)
    assert 0 < max_alive <= 50 * (1 + 4 * 2) + 50


async def test_ignored_status_filter_is_reported() -> None:
    """Contacts with another status than the requested one are counted in the report."""
    server = ListServer(range(1, 4))
    async with BurkiClient(KEY, transport=server.transport) as burki:
        contacts = await burki.contacts(42, status="failed")
    assert contacts.report.drift == ("3 contacts came with another status than asked for",)


async def test_closed_client_sends_nothing_over_an_open_http_client() -> None:
    """A closed client with an open `http_client` raises, also for queries made before."""
    server = ListServer([1])
    async with httpx.AsyncClient(transport=server.transport) as http:
        burki = BurkiClient(KEY, http_client=http)
        contacts = burki.contacts(42)
        await burki.aclose()
        with pytest.raises(ClientClosedError):
            await contacts
        with pytest.raises(ClientClosedError):
            burki.contacts(42)
    assert server.asked == []


async def test_page_that_waits_of_an_abandoned_pull_requests_nothing() -> None:
    """A page that begins to wait when its pull is gone requests no other page."""
    async with BurkiClient(KEY, transport=Sandbox(10).transport) as burki:
        started = burki.contacts(42)._list.start()
        stats = started.stats
        del started
        gc.collect()
        stats.on_wait()
        assert stats.requests == 0


async def test_pages_of_an_empty_stream() -> None:
    """An empty list has one page without contacts, of which nothing is left to be taken."""
    async with BurkiClient(KEY, transport=Sandbox(0).transport) as burki:
        async with burki.contacts(42).stream() as stream:
            assert [len(page) async for page in stream.pages()] == [0]
        assert stream.rest is None
