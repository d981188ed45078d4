"""Ranges: what a stream has left, as a value that goes on elsewhere and loses nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_sandbox import DRIFTS, MovingSandbox, run_virtually
from pages import KEY, ListServer, contact, page
from test_sandbox_server import served

from aioburki import (
    BurkiClient,
    BurkiError,
    ConfigurationError,
    Contact,
    ContactRange,
    ContactStatus,
    ContactStream,
    UnorderedListError,
)
from aioburki.sandbox import Sandbox

pytestmark = pytest.mark.long

SERVER = "https://api.burki.dev"
WHOLE: dict[str, Any] = {"server": SERVER, "campaign_id": 42}
DAY = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)

RANGES = [
    ContactRange(server=SERVER, campaign_id=42),
    ContactRange(server=SERVER, campaign_id=1, order="id", after=7, offset=3),
    ContactRange(server=SERVER, campaign_id=1, status=ContactStatus.BUSY, order="-id", until=0),
    ContactRange(
        server=SERVER, campaign_id=2**60, status=ContactStatus("queued"),
        order="created_at,-id", after=(DAY, -101), until=(DAY + timedelta(seconds=0.25), -5),
        offset=9, end=12,
    ),
    ContactRange(
        server="http://127.0.0.1:8042", campaign_id=3, order="created_at,id",
        after=(DAY.astimezone(timezone(timedelta(hours=5, minutes=45))), 2**80),
    ),
]  # fmt: skip


def encoded(fields: object) -> str:
    """Return a text with a right checksum for whatever fields."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    text = base64.urlsafe_b64encode(body).decode().rstrip("=")
    return f"aioburki-range-1.{text}.{hashlib.sha256(body).hexdigest()[:12]}"


def test_repr_tells_a_range_from_the_whole_list() -> None:
    """The repr of the contacts of a range says where the range begins and ends."""
    part = ContactRange(**WHOLE, order="id", after=7, until=12)
    assert repr(BurkiClient(KEY).contacts(part, limit=3)) == (
        "<Contacts of campaign 42, after=7, until=12, limit=3: await or async for>"
    )


@pytest.mark.parametrize("part", RANGES)
def test_text_and_pickle_keep_a_range(part: ContactRange) -> None:
    """A range survives its text and a pickle, equal and with the same hash."""
    again = ContactRange.parse(str(part))
    assert again == part == pickle.loads(pickle.dumps(part))
    assert hash(again) == hash(part)
    assert str(again) == str(part)
    assert str(part).isascii()
    assert " " not in str(part)
    assert ContactRange.parse(f"  {part}\n") == part


def test_range_is_frozen() -> None:
    """No field of a range can be set."""
    with pytest.raises(AttributeError):
        RANGES[0].campaign_id = 7  # type: ignore[misc]


@given(
    part=st.sampled_from(RANGES), place=st.integers(0, 10_000), letter=st.characters(codec="ascii")
)
def test_altered_text_is_refused(part: ContactRange, place: int, letter: str) -> None:
    """A text with another letter, one more, one less or its end cut off is refused."""
    text = str(part)
    place %= len(text)
    for other in (
        text[:place] + letter + text[place + 1 :],
        text[:place] + letter + text[place:],
        text[:place] + text[place + 1 :],
        text[:place],
    ):
        if other.strip() != text:
            with pytest.raises(ConfigurationError):
                ContactRange.parse(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (42, "a range must be text, not int"),
        ("42", "not a str: give it as an int, such as 42"),
        ("", "Text is for ranges only and begins with 'aioburki-range'"),
        ("aioburki-range", "Text is for ranges only"),
        ("aioburki-range-x.e30.0", "Text is for ranges only"),
        ("aioburki-range-2.e30.0", "format 2, this one reads 1"),
        ("aioburki-range-" + "9" * 5000 + ".e30.0", "another version of aioburki"),
        ("aioburki-range-1.e30.0", "altered or cut off"),
        ("aioburki-range-1.é.0", "altered or cut off"),
        (encoded({}), "altered or cut off"),
        (encoded([]), "altered or cut off"),
        (encoded([SERVER, "../7", None, "", None, None, 0, 0]), "altered or cut off"),
        (encoded([SERVER, 42, 7, "", None, None, 0, 0]), "altered or cut off"),
        (encoded([SERVER, 42, None, "id", "7", None, 0, 0]), "altered or cut off"),
        (encoded([SERVER, 42, None, "id", ["soon", 7], None, 0, 0]), "altered or cut off"),
        (encoded([SERVER, 42, None, "", 7, None, 0, 0]), "altered or cut off"),
        (encoded([SERVER, 42, None, "id", 7, None, -1, 0]), "altered or cut off"),
        (encoded([None, 42, None, "id", 7, None, 0, 0]), "altered or cut off"),
        (encoded(["\ud800", 42, None, "id", 7, None, 0, 0]), "altered or cut off"),
        (str(RANGES[1]) + "\udfff", "altered or cut off"),
        (str(RANGES[1]) + "A" * 1_000_000, "altered or cut off"),
        ("aioburki-range-1." + base64.b64encode(b"[" * 99_999).decode(), "altered or cut off"),
    ],
)
def test_text_that_is_no_range_is_refused(text: Any, message: str) -> None:
    """Text of something else, of a newer version, or with senseless fields is refused."""
    with pytest.raises(ConfigurationError, match=message):
        ContactRange.parse(text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"campaign_id": "42"}, "campaign_id must be a whole number of at least 1"),
        ({"server": None}, "server must be text"),
        ({"server": "https://a\nb"}, "server must be at most 500 printable characters"),
        ({"order": "x" * 501}, "order must be at most 500 printable characters"),
        ({"status": "busy"}, "status must be a ContactStatus"),
        ({"order": "id", "after": "x"}, "after must be an id, or an aware time and an id"),
        ({"order": "id", "until": True}, "until must be an id"),
        ({"order": "id", "until": (datetime(2024, 1, 1), 1)}, "an aware time"),  # noqa: DTZ001
        ({"order": "id", "after": (DAY, 1, 2)}, "after must be"),
        ({"after": 1}, "needs its order"),
        ({"offset": -1}, "offset must be"),
        ({"end": 1.5}, "end must be"),
    ],
)
def test_fields_are_checked(fields: dict[str, Any], message: str) -> None:
    """A range that could not be read cannot be made."""
    with pytest.raises(ConfigurationError, match=message):
        ContactRange(**WHOLE | fields)


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({"server": "https://other.example"}, {}, "of another server, https://other.example"),
        ({"order": "updated_at", "after": 1}, {}, "does not know, 'updated_at'"),
        ({"order": "id", "after": (DAY, 1)}, {}, "ends at a key of another order"),
        ({"order": "created_at,id", "until": 1}, {}, "ends at a key of another order"),
        ({}, {"status": "busy"}, "a range has its own status: leave out status="),
        ({}, {"complete": False}, "leave out complete=False"),
    ],
)
def test_range_must_fit_the_client(
    fields: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    """A range of another server, version or order is refused, as are status, complete=False."""
    part = ContactRange(**WHOLE | fields)
    burki = BurkiClient(KEY)
    for given_range in (part, str(part)):
        with pytest.raises(ConfigurationError, match=message):
            burki.contacts(given_range, **arguments)


def test_number_as_text_is_explained() -> None:
    """The number of a campaign as text is refused with the advice to give an int."""
    with pytest.raises(ConfigurationError, match=r"campaign_id must be .*: give it as an int"):
        BurkiClient(KEY).contacts("42")


def test_repr_shows_no_personal_data() -> None:
    """The repr and the text of a stream's rest hold no phone number and no contact data."""

    async def main() -> None:
        moving = MovingSandbox(300)
        async with moving.client() as burki, burki.contacts(42).stream() as stream:
            seen = await anext(stream)
            rest = stream.rest
        text = f"{rest!r} {base64.urlsafe_b64decode(str(rest).split('.')[1] + '==')!r}"
        assert seen.phone_number[-7:] not in text
        assert str(seen.contact_data.company) not in text
        assert f"after={seen.id}" in text

    run_virtually(main)


async def take(stream: Any, count: int) -> list[int]:
    """Return the ids of the next *count* contacts, or of fewer where the stream ends."""
    return [(await anext(stream)).id for _ in range(count)]


def test_rest_at_any_time() -> None:
    """A rest begins behind the last contact taken: at first, in pages, between them, at the end."""

    async def main() -> None:
        sandbox = Sandbox(95)
        ids = sandbox.ids()
        async with BurkiClient(KEY, transport=sandbox.transport) as burki:
            contacts = burki.contacts(42, per_page=20)
            async with contacts.stream() as stream:
                for taken in range(96):
                    rest = stream.rest
                    if taken == 95:  # the last page was shorter: nothing is left
                        assert rest is None
                        break
                    assert rest is not None
                    left = [each.id for each in await burki.contacts(rest, per_page=20)]
                    assert left == ids[taken:]
                    async for each in stream:
                        assert each.id == ids[taken]
                        break
            assert stream.rest is None
            async with contacts.stream() as stream:
                await take(stream, 33)
            assert stream.rest is not None  # the block was left
            assert [each.id for each in await burki.contacts(stream.rest)] == ids[33:]

    run_virtually(main)


def test_rest_with_a_limit_has_what_the_limit_left_out() -> None:
    """A rest goes on behind the limit, which is no part of it."""

    async def main() -> None:
        sandbox = Sandbox(95)
        async with BurkiClient(KEY, transport=sandbox.transport) as burki:
            for limit in (0, 10, 20, 94, 95):
                async with burki.contacts(42, per_page=20, limit=limit).stream() as stream:
                    taken = [each.id async for each in stream]
                    assert stream.rest is not None
                    rest = [each.id for each in await burki.contacts(stream.rest)]
                assert taken + rest == sandbox.ids()
                assert len(taken) == limit
            async with burki.contacts(42, per_page=20, limit=96).stream() as stream:
                assert len([each async for each in stream]) == 95
                assert stream.rest is None

    run_virtually(main)


def test_rest_after_a_failure() -> None:
    """After an error the rest begins behind the last contact that was taken."""

    async def main() -> None:
        sandbox = Sandbox(400)
        taken: list[int] = []
        async with BurkiClient(KEY, transport=sandbox.transport, attempts=1) as burki:
            async with burki.contacts(42, per_page=20).stream() as stream:
                with pytest.raises(BurkiError):
                    async for each in stream:
                        taken.append(each.id)
                        sandbox.is_down = len(taken) > 100
                sandbox.is_down = False
                assert stream.rest is not None
                left = [each.id for each in await burki.contacts(stream.rest)]
        assert taken + left == sandbox.ids()

    run_virtually(main)


def test_rest_after_a_cancellation() -> None:
    """A contact that a cancelled task has not received is in the rest."""

    async def main() -> None:
        sandbox = Sandbox(400, latency=1)
        async with BurkiClient(KEY, transport=sandbox.transport, concurrency=1) as burki:
            for taken_before in (0, 1, 20, 200, 399, 400):
                taken: list[int] = []
                stream = burki.contacts(42, per_page=20).stream()

                async def work(stream: ContactStream = stream, taken: list[int] = taken) -> None:
                    async with stream:
                        async for each in stream:
                            taken.append(each.id)
                        await asyncio.sleep(10)

                task = asyncio.create_task(work())
                while len(taken) < taken_before:
                    await asyncio.sleep(0.25)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                rest = stream.rest
                left = [] if rest is None else [each.id for each in await burki.contacts(rest)]
                assert taken + left == sandbox.ids()

    run_virtually(main)


@pytest.mark.no_cover
@pytest.mark.parametrize("drift", sorted(DRIFTS))
def test_rest_between_pages(drift: str) -> None:
    """The pages of a stream and the contacts of its rest are the list, however it moves."""

    async def main() -> None:
        for stop in range(1, 12):
            moving = MovingSandbox(1_000, seed=stop, drift=DRIFTS[drift])
            found: list[int] = []
            async with moving.client() as burki:
                async with burki.contacts(42, per_page=100).stream() as stream:
                    number = 0
                    async for each in stream.pages():
                        found += [contact.id for contact in each]
                        number += 1
                        if number == stop:
                            break
                    rest = stream.rest
                if rest is not None:
                    found += [each.id for each in await burki.contacts(rest, per_page=100)]
            assert len(found) == len(set(found))
            assert not moving.lasting - set(found)

    run_virtually(main)


def test_begun_page_is_not_left_for_another() -> None:
    """The pages of a stream are refused where contacts of one were taken, and not all of them."""

    async def main() -> None:
        async with BurkiClient(KEY, transport=Sandbox(60).transport) as burki:
            async with burki.contacts(42, per_page=20).stream() as stream:
                await anext(stream)
                with pytest.raises(RuntimeError, match="over the contacts of a stream or over its"):
                    await anext(stream.pages())
                await take(stream, 19)
                assert len(await anext(stream.pages())) == 20
                assert len([each async for each in stream]) == 20
                assert stream.rest is None
        async with BurkiClient(KEY, transport=Sandbox(0).transport) as burki:
            async with burki.contacts(42).stream() as stream:
                assert [len(each) async for each in stream.pages()] == [0]
                assert stream.rest is None

    run_virtually(main)


def test_rest_of_an_empty_list_is_none() -> None:
    """An empty list that was read has no rest; before it is read it has one."""

    async def main() -> None:
        async with BurkiClient(KEY, transport=Sandbox(0).transport) as burki:
            async with burki.contacts(42).stream() as stream:
                assert stream.rest == ContactRange(server=SERVER, campaign_id=42)
                assert [each async for each in stream] == []
                assert stream.rest is None

    run_virtually(main)


@pytest.mark.parametrize("order", ["id", "-id"])
def test_rest_of_a_single_page_is_read_without_a_warning(order: Literal["id", "-id"]) -> None:
    """The rest of a list of one page has its place, so that a list at rest is not called moved."""

    async def main() -> None:
        async with BurkiClient(KEY, transport=Sandbox(30, order=order).transport) as burki:
            async with burki.contacts(42).stream() as stream:
                await take(stream, 10)
                rest = stream.rest
            assert rest is not None
            assert rest.offset == 10
            others = await burki.contacts(rest)
            assert (len(others), others.report.drift) == (20, ())

    run_virtually(main)


def test_rest_of_a_part_keeps_its_bounds() -> None:
    """The rest of a range that ends at a key ends there too, also before its first contact."""

    async def main() -> None:
        sandbox = Sandbox(95, order="-id")
        ids = sandbox.ids()
        async with BurkiClient(KEY, transport=sandbox.transport) as burki:
            parts = await burki.contacts(42, per_page=20).split(3)
            for number, part in enumerate(parts):
                expected = [each.id for each in await burki.contacts(part)]
                async with burki.contacts(part, per_page=10).stream() as stream:
                    assert stream.rest == part
                    taken = await take(stream, 13)
                    rest = stream.rest
                    assert rest is not None
                    assert rest.until == part.until
                    left = [each.id for each in await burki.contacts(str(rest))]
                assert taken + left == expected, number
        assert ids[0] > ids[-1]

    run_virtually(main)


def test_rest_needs_an_order_and_a_complete_pull() -> None:
    """A list in no order has no rest once a contact is taken, and a plain pull has none ever."""

    async def main() -> None:
        sandbox = Sandbox(2_000, order="ties")
        async with BurkiClient(KEY, transport=sandbox.transport) as burki:
            async with burki.contacts(42, per_page=100).stream() as stream:
                assert stream.rest is not None
                await anext(stream)
                with pytest.raises(UnorderedListError, match="campaign 42"):
                    _ = stream.rest
            async with burki.contacts(42, complete=False).stream() as stream:
                with pytest.raises(ConfigurationError, match="complete=True"):
                    _ = stream.rest

    run_virtually(main)


def test_range_whose_order_broke_has_no_end() -> None:
    """A range that stopped where its order broke is not complete, and its rest is an error."""

    async def main() -> None:
        server = ListServer([*range(1, 61), 5_000, 61, *range(62, 101)])
        part = ContactRange(server=SERVER, campaign_id=42, order="id", after=30, offset=30)
        async with BurkiClient(KEY, transport=server.transport) as burki:
            async with burki.contacts(part, per_page=10).stream() as stream:
                ids = [each.id async for each in stream]
            assert ids == list(range(31, ids[-1] + 1))
            assert not stream.report.complete
            with pytest.raises(UnorderedListError):
                _ = stream.rest
            beyond = ContactRange(server=SERVER, campaign_id=42, order="-id", after=70, offset=30)
            async with burki.contacts(beyond, per_page=10).stream() as stream:
                assert [each async for each in stream] == []
            assert not stream.report.complete
            assert stream.rest == beyond  # nothing of it was taken

    run_virtually(main)


def test_range_whose_end_is_not_proved_has_a_rest() -> None:
    """A range that ends although the server counts more has a rest, behind the last contact."""

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        endless = {"total_items": 10**6, "total_pages": 10**6, "has_next": True}
        return httpx.Response(200, json=page(number, size, range(1, 60), **endless))

    async def main() -> None:
        part = ContactRange(server=SERVER, campaign_id=42, order="id", after=30, offset=30)
        async with BurkiClient(KEY, transport=httpx.MockTransport(answer)) as burki:
            async with burki.contacts(part, per_page=50).stream() as stream:
                assert [each.id async for each in stream] == list(range(31, 60))
            assert not stream.report.complete
            assert stream.rest is not None
            assert stream.rest.after == 59

    run_virtually(main)


@pytest.mark.no_cover
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("order", ["id", "-id"])
def test_starting_costs_little(order: str, gaps: bool) -> None:
    """Where the list stood still, the first contact takes at most three requests."""

    async def main() -> None:
        for taken in (1, 199, 200, 201, 1300, 3999):
            sandbox = Sandbox(4000, order=order, id_gaps=gaps)  # type: ignore[arg-type]
            async with BurkiClient(KEY, transport=sandbox.transport) as burki:
                async with burki.contacts(42, per_page=200).stream() as stream:
                    await take(stream, taken)
                assert stream.rest is not None
                rest = await burki.contacts(stream.rest, per_page=200)
                first = await burki.contacts(stream.rest, per_page=200, limit=1)
            assert len(rest) == 4000 - taken
            assert rest.report.complete
            assert first.report.requests <= 3
            assert rest.report.requests <= 1.1 * -(-(4000 - taken) // 200) + 3

    run_virtually(main)


def test_range_has_no_pages_and_no_count() -> None:
    """Not even a range of the whole list has a count or a page."""
    burki = BurkiClient(KEY)
    for part in RANGES[:2]:
        for given_range in (part, str(part)):
            contacts = burki.contacts(given_range)

            async def main(contacts: Any = contacts) -> None:
                with pytest.raises(ConfigurationError, match=r"a range has no count\(\)"):
                    await contacts.count()
                with pytest.raises(ConfigurationError, match=r"a range has no page\(\)"):
                    await contacts.page(1)

            run_virtually(main)


@pytest.mark.no_cover
@settings(max_examples=150)
@given(
    seed=st.integers(0, 10_000),
    order=st.sampled_from(["id", "-id"]),
    gaps=st.booleans(),
    drift=st.sampled_from(sorted(DRIFTS)),
    status=st.sampled_from([None, "completed"]),
    stops=st.lists(st.integers(0, 600), min_size=1, max_size=4),
    in_flight=st.sampled_from([1, 8]),
)
def test_nothing_is_lost_however_often_a_pull_is_continued(
    *,
    seed: int,
    order: str,
    gaps: bool,
    drift: str,
    status: str | None,
    stops: list[int],
    in_flight: int,
) -> None:
    """Pulls that go on from each other's rest, in a list that moves, lose and repeat nothing."""

    async def main() -> None:
        moving = MovingSandbox(
            1_500, seed=seed, status=status, order=order, id_gaps=gaps, drift=DRIFTS[drift]
        )
        found: list[int] = []
        complete = True
        rest: ContactRange | None = None
        for stop in [*stops, 10_000]:
            async with moving.client(concurrency=in_flight) as burki:
                contacts = (
                    burki.contacts(42, status=status, per_page=100)
                    if rest is None
                    else burki.contacts(str(rest), per_page=100)
                )
                async with contacts.stream() as stream:
                    async for each in stream:
                        found.append(each.id)
                        stop -= 1  # noqa: PLW2901
                        if stop <= 0:
                            break
                    rest = stream.rest
                    if rest is None:
                        complete &= stream.report.complete
                        break
            await asyncio.sleep(60)
        assert len(found) == len(set(found))
        assert complete
        assert rest is None
        assert not moving.lasting - set(found)
        assert found == sorted(found, reverse=order == "-id")

    run_virtually(main)


def creation_time_server(count: int, *, page_two_without: bool = False) -> httpx.MockTransport:
    """Serve contacts by (created_at, id), whose ids are in no order; none is deleted."""
    rows = [
        contact(
            1 + number * 7919 % count,
            created_at=f"{DAY + timedelta(seconds=number // 3):%Y-%m-%dT%H:%M:%SZ}",
        )
        for number in range(count)
    ]
    rows.sort(key=lambda row: (row["created_at"], row["id"]))
    if page_two_without:
        rows[30]["created_at"] = None

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("page", "per_page"))
        content = page(number, size, range(count))
        content["contacts"] = rows[(number - 1) * size : number * size]
        return httpx.Response(200, json=content)

    return httpx.MockTransport(answer)


def test_range_by_creation_time() -> None:
    """A list sorted by creation time and id is continued and divided by these."""

    async def main() -> None:
        async with BurkiClient(KEY, transport=creation_time_server(200)) as burki:
            contacts = burki.contacts(42, per_page=20)
            ids = [each.id for each in await contacts]
            assert sorted(ids) == list(range(1, 201)) != ids
            async with contacts.stream() as stream:
                taken = await take(stream, 47)
                rest = stream.rest
            assert rest is not None
            assert rest.order == "created_at,id"
            left = await burki.contacts(str(rest), per_page=20)
            assert taken + [each.id for each in left] == ids
            assert left.report.complete
            parts = await contacts.split(4)
            assert len(parts) == 4
            found = [each.id for part in parts for each in await burki.contacts(str(part))]
            assert found == ids
        broken = creation_time_server(200, page_two_without=True)
        async with BurkiClient(KEY, transport=broken) as burki:
            async with burki.contacts(42, per_page=20, limit=19).stream() as stream:
                await take(stream, 19)
                assert stream.rest is not None

    run_virtually(main)


GO_ON = """
import asyncio, sys
from aioburki import BurkiClient

async def main():
    async with BurkiClient() as burki:
        contacts = await burki.contacts(sys.argv[1], per_page=100)
        contacts.report.raise_if_incomplete()
        print(*[contact.id for contact in contacts])

asyncio.run(main())
"""


@pytest.mark.asyncio
@pytest.mark.usefixtures("nothing_left")
async def test_another_process_goes_on() -> None:
    """Another process reads the rest of a list that moves, over HTTP, and loses nothing."""
    sandbox = Sandbox(2_000, drift={"leave": 0.5, "delete": 0.5, "import": 1})
    before = set(sandbox.ids())
    async with served(sandbox) as url:
        async with BurkiClient(KEY, base_url=url) as burki:
            async with burki.contacts(42, per_page=100).stream() as stream:
                taken = await take(stream, 777)
                rest = stream.rest
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", GO_ON, str(rest),
            env=os.environ | {"BURKI_BASE_URL": url, "BURKI_API_KEY": KEY},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
    assert process.returncode == 0
    found = taken + [int(word) for word in out.split()]
    assert len(found) == len(set(found))
    assert not before.intersection(sandbox.ids()) - set(found)


@pytest.mark.asyncio
@pytest.mark.virtual_clock
async def test_tasks_that_share_a_stream_share_its_rest() -> None:
    """Where tasks take from one stream, its rest is behind the last contact that any took."""
    sandbox = Sandbox(200)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        async with burki.contacts(42, per_page=20).stream() as stream:
            taken: list[Contact] = []

            async def work() -> None:
                for _ in range(31):
                    taken.append(await anext(stream))
                    await asyncio.sleep(0)

            await asyncio.gather(work(), work(), work())
            rest = await burki.contacts(stream.rest)  # type: ignore[arg-type]
    found = sorted(each.id for each in taken) + [each.id for each in rest]
    assert found == sandbox.ids()
