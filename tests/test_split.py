"""Dividing a list: disjoint ranges, whose union is the list however it moves meanwhile."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_sandbox import DRIFTS, MovingSandbox
from pages import KEY, page

from aioburki import (
    BurkiClient,
    ClientClosedError,
    ConfigurationError,
    ContactList,
    ContactRange,
    NotFoundError,
    UnorderedListError,
)
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.long,
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


async def ids_of(burki: BurkiClient, part: ContactRange, **arguments: Any) -> list[int]:
    """Return the ids of a range, which must be proved complete."""
    contacts = await burki.contacts(part, **arguments)
    contacts.report.raise_if_incomplete()
    return [each.id for each in contacts]


@pytest.mark.no_cover
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("parts", [1, 2, 7, 50])
async def test_ranges_are_the_list(order: Any, gaps: bool, parts: int) -> None:
    """As many ranges of about equal size as asked for, by as many requests, are the list."""
    sandbox = Sandbox(1_000, order=order, id_gaps=gaps)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        ranges = await burki.contacts(42, per_page=100).split(parts)
        assert sandbox.requests == parts
        found = [await ids_of(burki, part, per_page=100) for part in ranges]
    assert len(ranges) == parts
    assert [each for ids in found for each in ids] == sandbox.ids()
    assert {len(ids) for ids in found} <= {1_000 // parts, 1_000 // parts + 1}
    assert ranges[0].after is None
    assert ranges[-1].until is None
    assert all(one.until == other.after for one, other in pairwise(ranges))


@pytest.mark.parametrize("contacts", [0, 1, 99, 100])
async def test_less_than_two_pages_are_one_range(contacts: int) -> None:
    """A list of one page is one range, by one request."""
    sandbox = Sandbox(contacts)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        (whole,) = await burki.contacts(42, per_page=100).split(8)
        assert sandbox.requests == 1
        assert await ids_of(burki, whole) == sandbox.ids()


@pytest.mark.parametrize("parts", [1, 8])
async def test_one_page_in_no_order_is_one_range(parts: int) -> None:
    """A list of one page needs no order to be one range, which is complete."""
    sandbox = Sandbox(50, order="ties")
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        (whole,) = await burki.contacts(42).split(parts)
        assert sorted(await ids_of(burki, whole)) == sorted(sandbox.ids())


async def test_pages_are_those_that_the_server_allows() -> None:
    """A list of two pages of the server's size is divided, whatever size was asked for."""
    ids = list(range(1, 401))

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        return httpx.Response(200, json=page(number, min(size, 100), ids))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        ranges = await burki.contacts(42).split(4)
        assert [await ids_of(burki, part) for part in ranges] == [
            ids[:100], ids[100:200], ids[200:300], ids[300:]
        ]  # fmt: skip


async def test_more_ranges_than_contacts() -> None:
    """No more ranges than contacts come out."""
    sandbox = Sandbox(7)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        ranges = await burki.contacts(42, per_page=2).split(10_000)
        assert sandbox.requests == 7
        assert [await ids_of(burki, part) for part in ranges] == [[each] for each in sandbox.ids()]


async def test_ranges_can_be_divided_again() -> None:
    """The ranges of a range are that range, and keep its status and its bounds."""
    sandbox = Sandbox(3_000)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        contacts = burki.contacts(42, status="completed", per_page=50)
        (_, middle, _) = await contacts.split(3)
        inner = await burki.contacts(middle, per_page=50).split(4)
        assert (inner[0].after, inner[-1].until) == (middle.after, middle.until)
        assert {part.status for part in inner} == {"completed"}
        assert len(inner) == 4
        found = [each for part in inner for each in await ids_of(burki, part)]
        assert found == await ids_of(burki, middle)
        assert await burki.contacts(inner[1], per_page=1000).split(8) == [inner[1]]


@pytest.mark.parametrize("moved", [-300, 300])
async def test_divided_range_stays_within_its_bounds(moved: int) -> None:
    """A range that is not where it was is divided into ranges that do not go beyond it."""
    sandbox = Sandbox(1_000, order="-id")
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        parts = await burki.contacts(42, per_page=20).split(4)
        expected = [await ids_of(burki, part) for part in parts]
        if moved > 0:
            sandbox.add(moved)
        else:
            sandbox.remove(*sandbox.ids()[:-moved])
        for part in (1, 2):
            inner = await burki.contacts(parts[part], per_page=20).split(7)
            found = [each for part in inner for each in await ids_of(burki, part)]
            assert found == [each for each in expected[part] if each in sandbox.ids()]


async def test_limit_does_not_apply() -> None:
    """The ranges are those of the whole list, whatever the limit."""
    sandbox = Sandbox(300)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        ranges = await burki.contacts(42, per_page=20, limit=10).split(3)
        found = [each for part in ranges for each in await ids_of(burki, part)]
    assert found == sandbox.ids()


@pytest.mark.parametrize("n", [0, 10_001, "8", None])
async def test_number_of_ranges_is_checked(n: Any) -> None:
    """A number of ranges out of range is refused before any request."""
    sandbox = Sandbox(300)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        with pytest.raises(ConfigurationError, match="n must be a whole number from 1 to 10,000"):
            await burki.contacts(42).split(n)
        with pytest.raises(ConfigurationError, match=r"split\(\) needs complete=True"):
            await burki.contacts(42, complete=False).split(8)
    assert sandbox.requests == 0


async def test_list_without_an_order_is_not_divided() -> None:
    """A list in no order, on page 1 or between the pages, raises UnorderedListError."""
    jumbled = Sandbox(4_000, order="ties")
    async with BurkiClient(KEY, transport=jumbled.transport) as burki:
        with pytest.raises(UnorderedListError, match="campaign 42"):
            await burki.contacts(42).split(8)
    # Page 1 is in order, the rest goes up and down.
    ids = [*range(1, 21), *(each * 7919 % 10_000 + 100 for each in range(380))]

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        return httpx.Response(200, json=page(number, size, ids))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        with pytest.raises(UnorderedListError):
            await burki.contacts(42, per_page=20).split(16)


@pytest.mark.parametrize("order", ["id", "-id"])
async def test_page_of_one_contact_shows_no_direction(order: Any) -> None:
    """Where page 1 is one contact, the boundaries show which way the list goes."""
    sandbox = Sandbox(10, order=order)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        ranges = await burki.contacts(42, per_page=1).split(2)
        assert ranges[0].order == order
        assert [await ids_of(burki, part) for part in ranges] == [
            sandbox.ids()[:5],
            sandbox.ids()[5:],
        ]


@pytest.mark.parametrize("missing", [404, 200])
async def test_list_that_shrinks_while_it_is_divided(missing: int) -> None:
    """Boundaries past the new end of a list, empty pages or 404, give fewer ranges."""
    ids = list(range(1, 1_001))

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        if size == 1:
            del ids[300:]
            if number > len(ids) and missing == 404:
                return httpx.Response(404, json={"detail": "Page not found"})
        return httpx.Response(200, json=page(number, size, ids))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        ranges = await burki.contacts(42, per_page=100).split(10)
        assert len(ranges) == 4
        found = [each for part in ranges for each in await ids_of(burki, part)]
    assert found == ids


async def test_unknown_campaign_is_an_error() -> None:
    """Page 1 that is 404 is no end of a list, but an error."""
    async with BurkiClient(KEY, transport=Sandbox(10).transport) as burki:
        with pytest.raises(NotFoundError):
            await burki.contacts(7).split(8)


async def test_range_that_was_deleted_is_one_range() -> None:
    """A range whose contacts are all gone, and whose pages are 404, is not divided."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] != "1":
            return httpx.Response(404, json={"detail": "Page not found"})
        return httpx.Response(200, json=page(1, int(request.url.params["per_page"]), range(1, 11)))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        part = ContactRange(
            server="https://api.burki.dev", campaign_id=42, order="id", after=5_000, offset=5_000
        )
        assert await burki.contacts(part, per_page=100).split(8) == [part]


async def test_boundaries_may_change_places() -> None:
    """A list is divided although so much moved between two boundaries that they changed places."""
    ids = [*range(0, 2_000, 2)]
    reads = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal reads
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        reads += 1
        moved = [each for each in ids if each > 40] if size == 1 and reads % 2 else ids
        return httpx.Response(200, json=page(number, size, moved))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        ranges = await burki.contacts(42, per_page=20).split(100)
        found = [await ids_of(burki, part) for part in ranges[:3]]
    keys: list[Any] = [part.until for part in ranges[:-1]]
    assert keys == sorted(set(keys))
    assert 90 < len(ranges) <= 100
    assert [each for part in found for each in part] == [each for each in ids if each <= keys[2]]


async def test_range_that_moves_by_more_than_its_length_is_divided() -> None:
    """A range is divided although all of it moves on between two boundaries."""
    ids = list(range(2_000, 0, -1))

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        ids[:0] = range(ids[0] + 100, ids[0], -1)
        return httpx.Response(200, json=page(number, size, ids))

    async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
        part = ContactRange(
            server="https://api.burki.dev", campaign_id=42, order="-id",
            after=1_500, until=1_400, offset=500, end=600,
        )  # fmt: skip
        inner = await burki.contacts(part, per_page=20).split(4)
        found = [each for part in inner for each in await ids_of(burki, part, per_page=500)]
    assert found == list(range(1_499, 1_399, -1))


async def test_closing_the_client_ends_a_split() -> None:
    """A split raises ClientClosedError when its client is closed, and leaves no task."""
    burki = BurkiClient(KEY, transport=Sandbox(10_000, latency=1).transport)
    split = asyncio.create_task(burki.contacts(42).split(8))
    await asyncio.sleep(1.5)
    await burki.aclose()
    with pytest.raises(ClientClosedError):
        await split


@pytest.mark.parametrize("drift", sorted(DRIFTS))
@pytest.mark.parametrize("order", ["id", "-id"])
async def test_divided_pull_is_complete(order: Any, drift: str) -> None:
    """Eight ranges that are read at once, of a list that moves, are all complete, and the list."""
    moving = MovingSandbox(2_000, order=order, id_gaps=True, drift=DRIFTS[drift])
    async with moving.client() as burki:
        contacts = burki.contacts(42, per_page=100)
        ranges = await contacts.split(8)
        assert len(ranges) == 8
        found = await asyncio.gather(*(ids_of(burki, part, per_page=100) for part in ranges))
    ids = [each for part in found for each in part]
    assert len(ids) == len(set(ids))
    assert not moving.lasting - set(ids)


@pytest.mark.no_cover
@settings(max_examples=100)
@given(
    seed=st.integers(0, 10_000),
    order=st.sampled_from(["id", "-id"]),
    gaps=st.booleans(),
    drift=st.sampled_from(sorted(DRIFTS)),
    status=st.sampled_from([None, "completed"]),
    parts=st.integers(1, 12),
    inner=st.integers(1, 4),
    at_once=st.booleans(),
)
async def test_nothing_is_lost_between_ranges(
    *,
    seed: int,
    order: str,
    gaps: bool,
    drift: str,
    status: str | None,
    parts: int,
    inner: int,
    at_once: bool,
) -> None:
    """Ranges, divided again, read at once or one by one, are the list, however it moves."""
    moving = MovingSandbox(
        1_500, seed=seed, status=status, order=order, id_gaps=gaps, drift=DRIFTS[drift]
    )

    async def pull(part: ContactRange) -> ContactList:
        async with moving.client(concurrency=4) as worker:
            return await worker.contacts(str(part), per_page=100)

    async with moving.client() as burki:
        ranges = await burki.contacts(42, status=status, per_page=100).split(parts)
        assert len(ranges) <= parts
        (divided, *others) = ranges
        ranges = [*await burki.contacts(divided, per_page=100).split(inner), *others]
    if at_once:
        found = await asyncio.gather(*map(pull, ranges))
    else:
        found = [await pull(part) for part in ranges]
    ids = [each.id for part in found for each in part]
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids, reverse=order == "-id")
    assert all(part.report.complete for part in found)
    assert not moving.lasting - set(ids)
