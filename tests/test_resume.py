"""Exports that resume: what was pulled is kept, and the next call goes on with it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import resource
import shutil
import stat
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kills import jobs_of, rows_of
from pages import KEY, ListServer, contact

from aioburki import (
    AuthenticationError,
    BurkiClient,
    ConfigurationError,
    ContactStatus,
    ContactStream,
    IncompletePullError,
    PullReport,
)
from aioburki._contact_row import ContactRow
from aioburki.export import (
    CSV,
    JSONL,
    Spool,
    Tally,
    _spool_file,
    export,
    export_csv,
    export_jsonl,
    export_parquet,
)

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

EXPORTS = [export_csv, export_jsonl, export_parquet]
MANY = range(1, 100)


class FailingServer(ListServer):
    """Serve pages, and 401 after so many."""

    def __init__(self, ids: Sequence[int], answers: int = 10**9) -> None:
        super().__init__(ids)
        self.answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if len(self.asked) >= self.answers:
            return httpx.Response(401, json={"detail": "no more"})
        return super().__call__(request)


class RowServer(FailingServer):
    """Serve pages of contacts of which some fields are given."""

    def __init__(self, rows: Sequence[dict[str, Any]], answers: int = 10**9) -> None:
        super().__init__(range(len(rows)), answers)
        self.rows = list(rows)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = super().__call__(request)
        if response.status_code != 200:
            return response
        content = response.json()
        content["contacts"] = [contact(0, **self.rows[each["id"]]) for each in content["contacts"]]
        return httpx.Response(200, json=content)


def client(server: ListServer, **options: Any) -> BurkiClient:
    return BurkiClient(KEY, transport=server.transport, concurrency=1, **options)


async def run(
    server: ListServer, target: Path, write: Any = export_csv, **options: Any
) -> PullReport:
    """Export with resume=True, in pages of ten, one request at a time."""
    async with client(server) as burki:
        contacts = burki.contacts(42, **{"per_page": 10} | options)
        report: PullReport = await write(contacts, target, resume=True)
        return report


async def interrupt(server: FailingServer, target: Path, answers: int, **options: Any) -> None:
    """Export until the server has sent so many answers."""
    server.answers = len(server.asked) + answers
    with pytest.raises(AuthenticationError):
        await run(server, target, **options)
    server.answers = 10**9


def spool_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.aioburki-resume")


def kept(target: Path) -> list[int]:
    """Return the ids that the spool beside *target* keeps."""
    lines = spool_of(target).read_text().splitlines()[1:]
    return [row["id"] for line in lines for row in json.loads(line[9:])["rows"]]


def ids_in(target: Path) -> list[int]:
    return [json.loads(line)["id"] for line in target.read_text().splitlines()]


def content_of(target: Path) -> Any:
    """Return the content of a file; of a Parquet file without its metadata, which have times."""
    content = target.read_bytes()
    return rows_of(target) if content.startswith(b"PAR1") else content


@pytest.mark.parametrize("write", [*EXPORTS, partial(export_parquet, flatten=True)])
async def test_next_call_goes_on(tmp_path: Path, write: Any) -> None:
    """An interrupted export goes on in the next call, and its file is that of one pull."""
    server, target = FailingServer(range(1, 400)), tmp_path / "contacts"
    await interrupt(server, target, 30, write=write)
    assert os.listdir(tmp_path) == [spool_of(target).name]
    before = len(server.asked)
    report = await run(server, target, write)
    assert os.listdir(tmp_path) == [target.name]
    assert len(server.asked) - before < 20  # of 40
    assert report.contacts == 399
    assert report.requests in (len(server.asked), len(server.asked) + 1)  # with the 401
    assert report.complete
    assert report.proof == "coverage"
    async with client(server) as burki:
        await write(burki.contacts(42), tmp_path / "once")
    assert content_of(target) == content_of(tmp_path / "once")


async def test_export_that_is_not_interrupted(tmp_path: Path) -> None:
    """With nothing to go on with the export starts, and an old target is replaced at its end."""
    target = tmp_path / "contacts.jsonl"
    target.write_text("old")
    report = await run(FailingServer(MANY), target, export_jsonl)
    assert ids_in(target) == [*MANY]
    assert (report.proof, report.requests, report.pages) == ("coverage", 10, 10)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [target.name]


async def test_old_target_stays_until_the_end(tmp_path: Path) -> None:
    """An interrupted export leaves the old target unchanged."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    target.write_text("old")
    await interrupt(server, target, 4)
    assert target.read_text() == "old"


async def test_list_may_move_between_two_calls(tmp_path: Path) -> None:
    """Contacts that leave in front, or join at the end, hide none and double none."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 4, write=export_jsonl)
    assert kept(target) == [*range(1, 41)]
    server.ids = [*range(20, 40), *range(41, 120)]
    report = await run(server, target, export_jsonl)
    assert ids_in(target) == [*range(1, 120)]
    assert report.complete


@pytest.mark.no_cover
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
async def test_interruptions_lose_and_double_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """However often an export is interrupted while its list moves, no lasting contact is lost."""
    draw, target = random.Random(seed), tmp_path_factory.mktemp("kept") / "contacts.jsonl"

    def move(server: ListServer, _: int) -> None:
        for _ in range(draw.randint(0, 2)):
            server.ids.pop(draw.randrange(len(server.ids)))
        server.ids.extend(range(server.ids[-1] + 1, server.ids[-1] + 1 + draw.randint(0, 3)))

    server = FailingServer(range(1, 1 + draw.randint(20, 150)))
    server.change, before = move, set(server.ids)
    while True:
        server.answers = len(server.asked) + draw.randint(1, 6)
        try:
            report = await run(server, target, export_jsonl)
        except AuthenticationError:
            continue
        break
    ids = ids_in(target)
    assert ids == sorted(set(ids))
    assert before & set(server.ids) <= set(ids)
    assert report.complete


async def test_spool_is_private_and_holds_no_key(tmp_path: Path) -> None:
    """The spool has mode 0600, and the API key is not in it."""
    before = os.umask(0)
    try:
        await interrupt(FailingServer(MANY), target := tmp_path / "contacts.csv", 4)
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool_of(target).stat().st_mode) == 0o600
    assert KEY not in spool_of(target).read_text()


async def test_link_is_followed(tmp_path: Path) -> None:
    """Of a link the spool is beside the file that it points to, and the link stays."""
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(real)
    server = FailingServer(MANY)
    await interrupt(server, link, 4)
    assert os.listdir(real.parent) == [spool_of(real).name]
    await run(server, link, export_jsonl)
    assert link.is_symlink()
    assert ids_in(real) == [*MANY]


async def test_limit_counts_what_is_kept(tmp_path: Path) -> None:
    """An export with a limit ends with so many contacts, kept ones included."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 2, limit=35)
    report = await run(server, target, export_jsonl, limit=35)
    assert ids_in(target) == [*range(1, 36)]
    assert (report.contacts, report.complete) == (35, True)


@pytest.mark.parametrize("ids", [[], [7], range(1, 11)])
async def test_small_lists(tmp_path: Path, ids: Sequence[int]) -> None:
    """A list of no contact, of one and of one full page can be exported."""
    report = await run(FailingServer(ids), target := tmp_path / "contacts.jsonl", export_jsonl)
    assert ids_in(target) == [*ids]
    assert (report.complete, report.contacts) == (True, len(ids))
    assert os.listdir(tmp_path) == [target.name]


@given(data=st.data())
@settings(max_examples=40)
async def test_torn_tail_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A spool that ends anywhere, with anything behind it, loses and doubles nothing."""
    server = FailingServer(range(1, 40))
    target = tmp_path_factory.mktemp("torn") / "contacts.jsonl"
    await interrupt(server, target, 3)
    whole = spool_of(target).read_bytes()
    end = round(data.draw(st.floats(0, 1)) * len(whole))
    tail = b"" if end < 40 else data.draw(st.sampled_from((b"", b"\0" * 500, b"torn\n", b"\n")))
    spool_of(target).write_bytes(whole[:end] + tail)
    report = await run(server, target, export_jsonl)
    assert ids_in(target) == [*range(1, 40)]
    assert report.complete
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize(
    "content",
    [
        b"id,name\n",
        b"x",
        b"0badc0de!",
        b"x" * 30,
        b"\0" * 500,
        b'0badc0de {"aioburki-resume": 1}\n',
    ],
)
async def test_files_that_are_no_spools_are_refused(tmp_path: Path, content: bytes) -> None:
    """A file of the spool's name that is none, or is damaged, is named and not changed."""
    server, target = FailingServer(MANY), tmp_path / "contacts.csv"
    spool_of(target).write_bytes(content)
    spool_of(target).chmod(0o600)
    with pytest.raises(ConfigurationError, match="cannot be read: delete it") as caught:
        await run(server, target)
    assert str(spool_of(target)) in str(caught.value)
    assert spool_of(target).read_bytes() == content
    assert server.asked == []


async def test_spool_of_another_version_is_refused(tmp_path: Path) -> None:
    """A spool that another version has written is named and not changed."""
    file = _spool_file.SpoolFile(spool_of(target := tmp_path / "contacts.csv"))
    file.append(b'{"aioburki-resume": 2}')
    file.close()
    with pytest.raises(ConfigurationError, match="of another version of aioburki"):
        await run(FailingServer(MANY), target)
    assert spool_of(target).exists()


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"limit": 50}, "of campaign 42, status busy, without a limit, on https://api.burki.dev, be"),
    ({"status": None}, "campaign 42, status busy, without a limit, on"),
    ({"campaign": 43}, "campaign 42, status busy, without a limit, on"),
    ({"base_url": "https://other.example"}, "on https://api.burki.dev"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
async def test_spool_of_another_pull_is_refused(
    tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    """A spool of another campaign, status, limit or server is described and not changed."""
    server, target = FailingServer(MANY), tmp_path / "contacts.csv"
    await interrupt(server, target, 4, status="busy")
    before, asked = spool_of(target).read_bytes(), len(server.asked)
    pull: dict[str, Any] = {"campaign": 42, "status": "busy", "limit": None, "base_url": None}
    pull |= other
    with pytest.raises(ConfigurationError) as caught:
        async with client(server, base_url=pull["base_url"]) as burki:
            contacts = burki.contacts(pull["campaign"], status=pull["status"], limit=pull["limit"])
            await export_csv(contacts, target, resume=True)
    assert message in str(caught.value)
    assert "delete the file" in str(caught.value)
    assert str(spool_of(target)) in str(caught.value)
    assert spool_of(target).read_bytes() == before
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("text", "described"),
    [("aioburki-range-2.x.y", "another version of aioburki"), (None, "limit 7, a range of it, on")],
)
async def test_spools_are_described(tmp_path: Path, text: str | None, described: str) -> None:
    """The message says of a range that it is one, and of another version that it is."""
    server, target = FailingServer(MANY), tmp_path / "contacts.csv"
    async with client(server) as burki:
        _, part = await burki.contacts(42, per_page=10).split(2)
    spool = Spool(target, part, 7)
    header = {"aioburki-resume": 1, "begun": "2026", "range": text or str(part), "limit": 7}
    spool.begin()
    spool._file.clear()
    spool._file.append(json.dumps(header).encode())
    spool._file.append(b"{}")
    spool._is_new = False
    spool.close()
    with pytest.raises(ConfigurationError, match=described):
        await run(server, target)


@pytest.mark.parametrize("write", EXPORTS)
async def test_other_sources_are_refused(tmp_path: Path, write: Any) -> None:
    """A source that is neither contacts nor pages is refused by its type, before any request."""
    server = FailingServer(MANY)
    async with client(server) as burki:
        others: list[Any] = [[], burki.contacts(42).stream(), 42]
        for source in others:
            with pytest.raises(ConfigurationError, match=f"not {type(source).__name__}$"):
                await write(source, tmp_path / "contacts")
    assert server.asked == []
    assert os.listdir(tmp_path) == []


async def test_spool_without_contacts_is_replaced(tmp_path: Path) -> None:
    """A spool of another pull that keeps nothing yet is no obstacle."""
    target = tmp_path / "contacts.jsonl"
    async with client(FailingServer(MANY)) as burki:
        spool = Spool(target, burki.contacts(43).range, None)
    spool.begin()
    spool._file.close()
    await run(FailingServer(MANY), target, export_jsonl)
    assert ids_in(target) == [*MANY]


@pytest.mark.parametrize("write", EXPORTS)
async def test_failure_before_the_first_contact_leaves_no_spool(tmp_path: Path, write: Any) -> None:
    """An export that fails before it has a contact leaves nothing behind."""
    await interrupt(FailingServer(MANY), tmp_path / "contacts", 0, write=write)
    assert os.listdir(tmp_path) == []


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second export to the same target at the same time is refused, and the first goes on."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    refusals: list[str] = []

    async def second(_: Spool) -> None:
        with pytest.raises(ConfigurationError, match="another process is writing") as caught:
            await run(FailingServer(MANY), target)
        refusals.append(str(caught.value))

    tasks: list[asyncio.Task[None]] = []
    tally = Tally(lambda spool: tasks.append(asyncio.create_task(second(spool))))
    async with client(server) as burki:
        contacts = burki.contacts(42, per_page=10)
        await export(contacts, target, JSONL, resume=True, tally=tally)
    await asyncio.gather(*tasks)
    assert len(refusals) == 1
    assert str(spool_of(target)) in refusals[0]
    assert ids_in(target) == [*MANY]


async def test_spool_that_was_removed_before_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool that another process removes between opening and locking is opened again."""
    path = tmp_path / "spool"
    lock, calls = fcntl.flock, iter(range(10))

    def removed_first(descriptor: int, operation: int) -> None:
        if (call := next(calls)) < 2:
            path.unlink()
        if call == 1:
            path.touch(0o600)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    file = _spool_file.SpoolFile(path)
    file.append(b"text")
    file.close()
    assert path.read_text().endswith(" text\n")
    assert next(calls) == 3


def make_link(path: Path) -> None:
    path.with_name("mine").touch(0o600)
    path.symlink_to(path.with_name("mine"))


def make_readable(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o644)


def make_linked_twice(path: Path) -> None:
    path.touch(0o600)
    path.with_name("other").hardlink_to(path)


def make_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "make", [Path.mkdir, make_link, make_readable, make_linked_twice, make_pipe]
)
async def test_spools_that_are_not_private_files_are_refused(tmp_path: Path, make: Any) -> None:
    """A folder, a link, a pipe or a file of others in the spool's place is refused, unchanged."""
    server, target = FailingServer(MANY), tmp_path / "contacts.csv"
    make(spool_of(target))
    before = spool_of(target).lstat()
    with pytest.raises(ConfigurationError, match="a regular file that you own and nobody else"):
        await run(server, target)
    after = spool_of(target).lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (
        before.st_ino, before.st_mode, before.st_size,
    )  # fmt: skip
    assert server.asked == []


async def test_spool_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool that another user owns is refused, unchanged."""
    server, target = FailingServer(MANY), tmp_path / "contacts.csv"
    await interrupt(server, target, 4)
    before = spool_of(target).read_bytes()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="a regular file that you own and nobody else"):
        await run(server, target)
    assert spool_of(target).read_bytes() == before


@pytest.mark.parametrize("resume", [True, False])
async def test_folder_that_is_removed_meanwhile(tmp_path: Path, resume: bool) -> None:
    """If the target's folder is removed during the pull, the error names what is missing."""
    folder = tmp_path / "folder"
    folder.mkdir()

    class Removing(Tally):
        def add(self, contacts: Iterable[ContactRow]) -> None:
            super().add(contacts)
            shutil.rmtree(folder, ignore_errors=True)

    async with client(FailingServer(MANY)) as burki:
        contacts = burki.contacts(42, per_page=10)
        with pytest.raises((ConfigurationError, FileNotFoundError), match=str(folder)):
            await export(contacts, folder / "x", JSONL, resume=resume, tally=Removing())
    assert os.listdir(tmp_path) == []


async def test_spool_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """The error of a spool whose name is too long names it."""
    with pytest.raises(OSError, match="File name too long") as caught:
        await run(FailingServer(MANY), tmp_path / ("x" * 250))
    assert "aioburki-resume" in str(caught.value.filename)


async def test_locks_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without POSIX file locks refuses to resume."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(ConfigurationError, match="file locks of POSIX"):
        await run(FailingServer(MANY), tmp_path / "contacts.csv")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("write", EXPORTS)
async def test_sources_that_cannot_be_resumed(tmp_path: Path, write: Any) -> None:
    """Pages, and contacts with complete=False, are refused before a request."""
    server = FailingServer(MANY)
    async with client(server) as burki:
        pages = burki.contacts(42).pages()
        with pytest.raises(ConfigurationError, match="needs contacts, not pages"):
            await write(pages, tmp_path / "x", resume=True)
        with pytest.raises(ConfigurationError, match="complete=True"):
            await write(burki.contacts(42, complete=False), tmp_path / "x", resume=True)
        with pytest.raises(ConfigurationError, match="resume must be"):
            await write(burki.contacts(42), tmp_path / "x", resume="yes")
        with pytest.raises(ConfigurationError, match="there is no folder"):
            await write(burki.contacts(42), tmp_path / "no" / "x", resume=True)
    assert server.asked == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("write", EXPORTS)
async def test_contacts_are_exported_with_a_report(tmp_path: Path, write: Any) -> None:
    """Without resume contacts are pulled and their report is returned; for pages it is None."""
    async with client(FailingServer(MANY)) as burki:
        report = await write(burki.contacts(42, per_page=10), tmp_path / "x")
        assert (report.contacts, report.requests, report.complete) == (99, 10, True)
        assert await write(burki.contacts(42).pages(), tmp_path / "y") is None
    assert content_of(tmp_path / "x") == content_of(tmp_path / "y")


class OvercountingServer(FailingServer):
    """Serve pages, and count five contacts that are not there."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = super().__call__(request)
        content = response.json()
        if response.status_code == 200:
            content["pagination"]["total_items"] += 5
        return httpx.Response(response.status_code, json=content)


async def test_list_that_counts_too_many_does_not_start_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the server counts contacts that never come, what is kept stays, and nothing is proved."""
    server, target = OvercountingServer(MANY), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 4)
    report = await run(server, target, export_jsonl)
    assert "starts anew" not in caplog.text
    assert ids_in(target) == [*MANY]
    assert (report.contacts, report.proof, report.missing) == (99, "none", 5)


async def test_limit_of_nothing(tmp_path: Path) -> None:
    """An export of no contacts is the same with and without resume."""
    report = await run(FailingServer(MANY), target := tmp_path / "x.jsonl", export_jsonl, limit=0)
    assert (report.contacts, report.proof, ids_in(target)) == (0, "single page", [])


async def test_ranges_can_be_exported_in_goes(tmp_path: Path) -> None:
    """The export of a range resumes inside the range."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    async with client(server) as burki:
        _, part, _ = await burki.contacts(42, per_page=10).split(3)
        server.answers = len(server.asked) + 2
        with pytest.raises(AuthenticationError):
            await export_jsonl(burki.contacts(part, per_page=10), target, resume=True)
        assert 0 < len(kept(target)) < 33
        server.answers = 10**9
        report = await export_jsonl(burki.contacts(part, per_page=10), target, resume=True)
    assert ids_in(target) == [*range(34, 67)]
    assert report.complete


def tied(count: int = 60) -> list[int]:
    """Return ids in no order."""
    ids = [*range(1, count + 1)]
    random.Random(0).shuffle(ids)
    return ids


async def test_unordered_list_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A list without an order starts anew, says so, and is not proved complete."""
    server, target = FailingServer(tied()), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 4)
    assert len(kept(target)) == 40
    asked = len(server.asked)
    report = await run(server, target, export_jsonl)
    assert len(server.asked) - asked == 6
    assert sorted(ids_in(target)) == [*range(1, 61)]
    assert (report.contacts, report.requests, report.complete) == (60, 6, False)
    warnings = [
        record.getMessage()
        for record in caplog.records
        if record.name == "aioburki" and record.levelno >= 30
    ]
    assert warnings[0] == (
        "the pull of campaign 42 cannot be resumed, because its list has no usable order: "
        f"the 40 contacts in {spool_of(target)} are dropped, and the pull starts anew"
    )
    assert warnings[1:] == ["campaign 42 was read, but it is not proved that nothing was missed"]


async def test_order_that_breaks_behind_what_is_kept_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the order breaks in what is left, what was kept is dropped, and nothing is lost."""
    server, target = FailingServer([*range(1, 41), *tied(100)[::-1]]), tmp_path / "contacts.jsonl"
    server.ids = [*range(1, 41), *(100 + each for each in tied())]
    await interrupt(server, target, 4)
    assert kept(target) == [*range(1, 41)]
    starts: list[int] = []
    tally = Tally(lambda spool: starts.append(spool.contacts))
    async with client(server) as burki:
        contacts = burki.contacts(42, per_page=10)
        report = await export(contacts, target, JSONL, resume=True, tally=tally)
    assert report is not None
    assert starts == [40, 0]
    assert sorted(ids_in(target)) == sorted(server.ids)
    assert report.contacts == tally.statuses.total() == 100
    assert not report.complete
    assert "the pull starts anew" in caplog.text


@pytest.mark.parametrize("is_hidden", [True, False])
@pytest.mark.parametrize("is_falling", [True, False])
async def test_contact_that_moves_to_the_head_is_not_lost(
    tmp_path: Path, is_falling: bool, is_hidden: bool
) -> None:
    """A contact that moves to the head is found, also if one leaves in front of the rest."""
    ids = [*MANY][:: -1 if is_falling else 1]
    server, target = FailingServer(ids), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 4)
    assert kept(target) == ids[:40]
    server.ids.insert(0, server.ids.pop(70))
    if is_hidden:
        server.ids.remove(ids[30])
    report = await run(server, target, export_jsonl)
    assert sorted(ids_in(target)) == sorted(server.ids)
    assert not report.complete


async def test_range_whose_order_breaks_is_not_complete(tmp_path: Path) -> None:
    """The export of a range whose order breaks has what came, and is not proved complete."""
    server = FailingServer(range(1, 101))
    async with client(server) as burki:
        _, part = await burki.contacts(42, per_page=10).split(2)
        server.ids = [*range(1, 71), *(70 + each for each in tied(30))]
        target = tmp_path / "contacts.jsonl"
        report = await export_jsonl(burki.contacts(part, per_page=10), target, resume=True)
    assert not report.complete
    assert ids_in(target)[:20] == [*range(51, 71)]
    with pytest.raises(IncompletePullError):
        report.raise_if_incomplete()


async def test_complete_only_if_all_parts_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where contacts may have been missed in the first part, the whole is not proved complete."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(ContactStream, "has_gaps", True)
        await interrupt(server, target, 4)
    report = await run(server, target, export_jsonl)
    assert (report.complete, report.proof, report.contacts) == (False, "none", 99)


@pytest.mark.parametrize("time", ["2024-02-01T15:30:00Z", "2024-02-03T00:00:00Z"])
async def test_repeats_of_kept_contacts_are_left_out(tmp_path: Path, time: str) -> None:
    """A contact that comes again under another key is left out, and nothing is proved."""
    draw = random.Random(1)
    times = [f"2024-02-01T{hour:02}:00:00Z" for hour in range(24)]
    rows = [
        {"id": number, "created_at": created_at}
        for created_at, number in zip(times, draw.sample(range(1, 100), 24), strict=True)
    ]
    server, target = RowServer(rows), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 2, per_page=5)
    assert kept(target) == [row["id"] for row in rows[: len(kept(target))]]
    assert rows[3]["id"] in kept(target)
    server.rows.append(server.rows.pop(3) | {"created_at": time})
    server.rows.sort(key=lambda row: str(row["created_at"]))
    report = await run(server, target, export_jsonl, per_page=5)
    assert ids_in(target) == [row["id"] for row in rows]
    assert (report.contacts, report.complete, report.proof) == (24, False, "none")


async def finish_but_for_the_file(server: FailingServer, target: Path, **options: Any) -> None:
    """Export until the file would be written, which fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))

    real = JSONL.write_rows

    async def fail(rows: Any, file: Any, count: int) -> None:
        fill_disk()
        await real(rows, file, count)

    full = attrs.evolve(JSONL, write_rows=fail)
    try:
        async with client(server) as burki:
            contacts = burki.contacts(42, **{"per_page": 10} | options)
            with pytest.raises(OSError, match="File too large") as caught:
                await export(contacts, target, full, resume=True)
        assert caught.value.filename == str(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [None, 50])
@pytest.mark.parametrize("cut", [0, 1], ids=["ended", "killed before its end was kept"])
async def test_pulled_but_not_written(tmp_path: Path, limit: int | None, cut: int) -> None:
    """If everything was pulled, the next call only writes the file, and sends nothing."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    await finish_but_for_the_file(server, target, limit=limit)
    assert os.listdir(tmp_path) == [spool_of(target).name]
    lines = spool_of(target).read_bytes().splitlines(keepends=True)
    spool_of(target).write_bytes(b"".join(lines[: len(lines) - cut]))
    asked = len(server.asked)
    report = await run(server, target, export_jsonl, limit=limit)
    assert len(server.asked) == asked
    assert ids_in(target) == [*MANY][:limit]
    assert (report.requests, report.proof) == (asked, "coverage")
    assert report.contacts == (99 if limit is None else limit)
    assert os.listdir(tmp_path) == [target.name]


async def test_part_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    """What a process leaves that is killed while it writes the file is gone after the next one."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    await interrupt(server, target, 4)
    part = target.with_name(f".{target.name}.aioburki-part")
    part.symlink_to(elsewhere := tmp_path / "elsewhere")
    await run(server, target, export_jsonl)
    assert os.listdir(tmp_path) == [target.name]
    assert not elsewhere.exists()


async def test_full_disk_keeps_what_came_before(tmp_path: Path) -> None:
    """If the disk is full, an error is raised, and the next call goes on with what came before."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            await run(server, target, export_jsonl)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(spool_of(target))
    assert spool_of(target).stat().st_size == 15_000
    report = await run(server, target, export_jsonl)
    assert ids_in(target) == [*MANY]
    assert report.complete


async def test_changed_spool_is_an_error(tmp_path: Path) -> None:
    """If a line of the spool changes before the file is written, no file is written from it."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"

    async def change(rows: Any, file: Any, count: int) -> None:
        with open(spool_of(target), "r+b") as spool:
            spool.seek(-40, os.SEEK_END)
            spool.write(b"x")
        await JSONL.write_rows(rows, file, count)

    changing = attrs.evolve(JSONL, write_rows=change)
    async with client(server) as burki:
        with pytest.raises(OSError, match="a line of the file has changed") as caught:
            await export(burki.contacts(42, per_page=10), target, changing, resume=True)
    assert caught.value.filename == str(spool_of(target))
    assert not target.exists()


async def test_spool_is_synced_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept is written to the disk at the start, every second and at the end."""
    monkeypatch.setattr(_spool_file, "SYNC_SECONDS", 0)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    await interrupt(FailingServer(MANY), tmp_path / "contacts.csv", 4)
    every_time = len(synced)
    monkeypatch.setattr(_spool_file, "SYNC_SECONDS", 60)
    await interrupt(FailingServer(MANY), tmp_path / "others.csv", 4)
    assert every_time == 7  # header twice, four pages, the end
    assert len(synced) == every_time + 2


@pytest.mark.parametrize("write", EXPORTS)
async def test_other_tasks_run_meanwhile(tmp_path: Path, write: Any) -> None:
    """Other tasks run while a spool is read and while the file is written from it."""
    server, target = FailingServer(range(1, 4001)), tmp_path / "contacts"
    await finish_but_for_the_file(server, target, per_page=100)
    turns = 0

    async def heartbeat() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(heartbeat())
    await run(server, target, write, per_page=100)
    task.cancel()
    assert turns > 45


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_cancellation_keeps_the_spool(tmp_path: Path, error: BaseException) -> None:
    """A cancellation or an interruption in the middle keeps what has come."""
    server, target = FailingServer(MANY), tmp_path / "contacts.jsonl"

    class Interrupting(Tally):
        def add(self, contacts: Iterable[ContactRow]) -> None:
            super().add(contacts)
            if self.statuses.total() == 50:
                raise error

    async with client(server) as burki:
        contacts = burki.contacts(42, per_page=10)
        with pytest.raises(type(error)):
            await export(contacts, target, CSV, resume=True, tally=Interrupting())
    assert kept(target) == [*range(1, 51)]
    await run(server, target, export_jsonl)
    assert ids_in(target) == [*MANY]


async def test_pages_of_a_stream_move_its_rest() -> None:
    """Behind each page of a stream its rest is what comes after the page."""
    async with client(server := FailingServer(range(1, 31))) as burki:
        contacts = burki.contacts(42, per_page=10)
        async with contacts.stream() as stream:
            async for each in stream.pages():
                assert not stream.has_gaps
                last = each.contacts[-1].id
                rest = stream.rest
                assert (last == 30) == (rest is None)
                left = [] if rest is None else await burki.contacts(rest, per_page=10)
                assert [contact.id for contact in left] == [*range(last + 1, 31)]
        assert len(server.asked) > 3


async def test_stream_is_read_by_contacts_or_by_pages() -> None:
    """A page that was begun by contacts cannot be skipped by pages."""
    async with client(FailingServer(range(1, 31))) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            first = await anext(stream)
            assert first.id == 1
            with pytest.raises(RuntimeError, match="contacts of a stream or over its pages"):
                await anext(stream.pages())
            assert [(await anext(stream)).id for _ in range(9)] == [*range(2, 11)]
            pages = [each async for each in stream.pages()]
        assert [len(each) for each in pages] == [10, 10]
        with pytest.raises(RuntimeError, match="inside its `async with` block"):
            await anext(stream.pages())


async def test_contacts_say_what_they_are_of() -> None:
    """Range, limit and completeness of contacts can be asked for."""
    async with client(FailingServer(MANY)) as burki:
        contacts = burki.contacts(42, status="busy", limit=5)
        assert (contacts.limit, contacts.is_complete) == (5, True)
        assert (contacts.range.campaign_id, contacts.range.status) == (42, ContactStatus.BUSY)
        assert not burki.contacts(42, complete=False).is_complete


@pytest.mark.may_show("output", why="the rows are in the file that is asked for")
@pytest.mark.parametrize(
    ("suffix", "kind", "seed"),
    [
        (".csv", "draining", 1),
        (".jsonl", "shrinking", 2),
        (".csv", "still", 3),
        (".parquet", "shrinking", 4),
    ],
)
async def test_kills_lose_and_double_nothing(suffix: str, kind: str, seed: int) -> None:
    """Twelve processes killed at random moments while the list moves leave one whole file."""

    def run_jobs() -> list[Any]:
        return [*jobs_of(12, seed, suffix=suffix, kind=kind)]

    jobs = await asyncio.to_thread(run_jobs)
    assert [job.problems for job in jobs if job.problems] == []
    assert sum(sum(job.killed.values()) for job in jobs) == 12
    assert all(", complete (coverage), " in job.report for job in jobs)
