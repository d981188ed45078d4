"""Optional fields that cannot be read: contacts are delivered, and the report names the fields."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from pages import KEY, page

from aioburki import BurkiClient, Pagination, PullReport
from aioburki._page import Page, UnreadField
from aioburki._paging import UnreadFields
from aioburki._report import named_problems
from aioburki.export import export_csv, export_jsonl

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

ZERO_DATE = "0000-00-00 00:00:00"
IDS = range(1, 41)


class Server:
    """Serve contacts 1 … 40; those in *changes* have these fields changed."""

    def __init__(self, changes: dict[int, dict[str, Any]], *, fail_after: int = 10**9) -> None:
        self.changes = changes
        self.left = fail_after

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left < 0:
            return httpx.Response(403)
        parameters = request.url.params
        content = page(int(parameters["page"]), int(parameters["per_page"]), IDS)
        for each in content["contacts"]:
            each.update(self.changes.get(each["id"], {}))
        return httpx.Response(200, json=content)

    def client(self) -> BurkiClient:
        return BurkiClient(KEY, transport=httpx.MockTransport(self))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("complete", [True, False])
async def test_a_contact_is_not_lost_for_an_optional_field(
    complete: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A contact with a zero date is delivered; the report and one warning name the place."""
    async with Server({18: {"created_at": ZERO_DATE}}).client() as burki:
        contacts = await burki.contacts(42, per_page=10, complete=complete)
    assert [contact.id for contact in contacts] == list(IDS)
    assert [contact.id for contact in contacts if contact.created_at is None] == [18]
    [problem] = contacts.report.problems
    assert problem == ("page 2, contacts[7].created_at (contact 18): not an ISO 8601 date and time")
    assert contacts.report.problem_count == 1
    assert warnings(caplog) == [
        f"campaign 42: 1 optional field could not be read and has its default: {problem}"
    ]


async def test_the_report_counts_problems_and_names_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of many problems the report names ten and counts the others, and one warning is logged."""
    changes = {number: {"attempts": "many", "contact_data": 7} for number in IDS}
    async with Server(changes).client() as burki:
        report = (await burki.contacts(42, per_page=10)).report
    assert len(report.problems) == 11
    assert report.problems[10] == "and 70 more"
    assert report.problem_count == 80
    [warning] = warnings(caplog)
    assert warning == (
        "campaign 42: 80 optional fields could not be read and have their default, the first: "
        "page 1, contacts[0].contact_data (contact 1): expected an object, got a whole number"
    )


async def test_problems_are_those_of_delivered_contacts() -> None:
    """Contacts beyond the limit, and contacts that are read twice, do not count."""
    changes = {number: {"attempts": "many"} for number in IDS}
    async with Server(changes).client() as burki:
        limited = (await burki.contacts(42, per_page=10, limit=13)).report
        async with burki.contacts(42, per_page=10).stream() as stream:
            async for contact in stream:
                if contact.id == 5:
                    break
            first_page = stream.report
        gaps = {number: {"id": 3 * number, "attempts": "many"} for number in IDS}
    async with Server(gaps).client() as burki:
        overlapping = (await burki.contacts(42, per_page=10)).report
    assert limited.problem_count == limited.contacts == 13
    assert first_page.problem_count == first_page.contacts == 10
    assert overlapping.problem_count == overlapping.contacts == 40
    assert overlapping.probes or overlapping.requests > 4


async def test_unread_fields_of_delivered_contacts_are_dropped() -> None:
    """A contact that is read again after it was delivered leaves nothing in memory."""
    pagination = Pagination(1, 2, 2, 1, has_next=False, has_prev=False)
    one = Page((7, 8), pagination, (UnreadField(0, "numbers[0].size", "expected text"),))
    unread = UnreadFields[int]("number", lambda number: number)
    for _ in range(2):
        unread.record(one)
        unread.deliver(one)
    assert unread.named == ["page 1, numbers[0].size (number 7): expected text"]
    unread.record(one)
    assert not unread._pending


async def test_a_single_page_warns(caplog: pytest.LogCaptureFixture) -> None:
    """`page`, which has no report, logs the warning."""
    async with Server({3: {"last_attempt_at": ZERO_DATE}}).client() as burki:
        assert len(await burki.contacts(42, per_page=10).page(1)) == 10
    assert len(warnings(caplog)) == 1


async def test_an_export_writes_the_default(tmp_path: Path) -> None:
    """An export has the contact with an empty cell, and its report has the problem."""
    target = tmp_path / "contacts.csv"
    async with Server({2: {"created_at": ZERO_DATE}}).client() as burki:
        report = await export_csv(burki.contacts(42, per_page=10), target)
    assert report.problem_count == 1
    assert len(target.read_text(encoding="utf-8").splitlines()) == 41


async def test_resumed_exports_keep_problems(tmp_path: Path) -> None:
    """The report of an export that was resumed has the problems of all runs."""
    changes = {number: {"attempts": "many"} for number in IDS}
    target = tmp_path / "contacts.jsonl"
    async with Server(changes, fail_after=2).client() as burki:
        with pytest.raises(Exception, match="HTTP 403"):
            await export_jsonl(burki.contacts(42, per_page=10), target, resume=True)
    async with Server(changes).client() as burki:
        report = await export_jsonl(burki.contacts(42, per_page=10), target, resume=True)
    assert report.contacts == 40
    assert 40 <= report.problem_count <= 41  # a contact that is read again to continue
    assert len(report.problems) == 11
    assert report.problems[0].startswith("page 1, contacts[0].attempts (contact 1)")


async def test_spools_of_an_older_version_have_no_problems(tmp_path: Path) -> None:
    """A spool that was written before problems were counted is read."""
    target = tmp_path / "contacts.jsonl"
    async with Server({}, fail_after=2).client() as burki:
        with pytest.raises(Exception, match="HTTP 403"):
            await export_jsonl(burki.contacts(42, per_page=10), target, resume=True)
    spool = target.with_name(".contacts.jsonl.aioburki-resume")
    spool.write_bytes(without_problems(spool.read_bytes()))
    async with Server({40: {"attempts": "many"}}).client() as burki:
        report = await export_jsonl(burki.contacts(42, per_page=10), target, resume=True)
    assert report.contacts == 40
    assert report.problem_count == 1


def without_problems(spool: bytes) -> bytes:
    from zlib import crc32  # noqa: PLC0415

    lines = []
    for line in spool.splitlines():
        record = json.loads(line[9:])
        for name in ("problems", "problem_count"):
            record.get("report", {}).pop(name, None)
        text = json.dumps(record).encode()
        lines.append(b"%08x %s\n" % (crc32(text), text))
    return b"".join(lines)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], ()),
        ([(["a"], 1)], ("a",)),
        ([(["a"], 1), (["b"], 1)], ("a", "b")),
        ([(["a"] * 10, 10)], ("a",) * 10),
        ([(["a"] * 10, 12)], (*"a" * 10, "and 2 more")),
        ([((*"a" * 10, "and 2 more"), 12), (["b"], 1)], (*"a" * 10, "and 3 more")),
        ([(["a"], 1), ((*"b" * 10, "and 1,000 more"), 1010)], ("a", *"b" * 9, "and 1,001 more")),
    ],
)
async def test_problems_are_summed_up(
    parts: list[tuple[list[str], int]], expected: tuple[str, ...]
) -> None:
    """The first ten of several pulls are named, the others counted."""
    assert named_problems(*parts) == expected
    assert PullReport(problems=expected).problems == expected
