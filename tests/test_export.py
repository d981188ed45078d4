"""Exports: complete files or none, safe in a spreadsheet, readable by their owner only."""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import json
import os
import re
import resource
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import PHONE

from aioburki import (
    ConfigurationError,
    Contact,
    ContactData,
    ContactPage,
    ContactStatus,
    Pagination,
    to_dict,
)
from aioburki.export import CSV, FIELDS, export_csv, export_jsonl, export_parquet
from aioburki.export._csv import _cell
from aioburki.export._spool_file import SpoolFile

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]


def contact(contact_id: int = 1, phone: str = PHONE, **data: Any) -> Contact:
    return Contact(
        id=contact_id,
        phone_number=phone,
        contact_data=ContactData(**data),
        status=ContactStatus.BUSY,
        attempts=2,
        created_at=datetime(2024, 2, 1, 10, 30, tzinfo=UTC),
    )


async def pages(
    *contacts: Contact, error: BaseException | None = None
) -> AsyncGenerator[ContactPage, None]:
    for each in contacts:
        pagination = Pagination(
            page=1, per_page=1, total_items=1, total_pages=1, has_next=False, has_prev=False
        )
        yield ContactPage(contacts=(each,), pagination=pagination)
    if error is not None:
        raise error


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


async def test_csv_has_the_fields_and_every_key_that_occurs(tmp_path: Path) -> None:
    """The columns are the fields, then the keys of both mappings in order of occurrence."""
    target = tmp_path / "contacts.csv"
    await export_csv(
        pages(
            contact(1, company="Acme", custom_fields={"z": 1}, variable_values={"name": "A"}),
            contact(2, variable_values={"name": "B", "z": "2"}, extra={"zip": "x"}),
        ),
        target,
    )
    first, second = rows(target)
    assert list(first) == [*FIELDS, "variable_values.name", "variable_values.z", "custom_fields.z"]
    assert first == {
        "id": "1",
        "phone_number": PHONE,
        "status": "busy",
        "attempts": "2",
        "created_at": "2024-02-01T10:30:00Z",
        "last_attempt_at": "",
        "company": "Acme",
        "source": "",
        "extra": "",
        "variable_values.name": "A",
        "variable_values.z": "",
        "custom_fields.z": "1",
    }
    assert second["variable_values.z"] == "2"
    assert second["extra"] == '{"zip": "x"}'


async def test_csv_without_contacts_has_a_header(tmp_path: Path) -> None:
    """An empty campaign gives a file with a header and no rows."""
    await export_csv(pages(), target := tmp_path / "contacts.csv")
    assert target.read_bytes().decode() == ",".join(FIELDS) + "\r\n"


@pytest.mark.parametrize(
    "text",
    ["=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "\nx", "+", "+15551234567x",
     "\uff1d1", "+1 555 123", " =1", "\0=1", "\ufeff=1"],
)  # fmt: skip
async def test_formulas_are_escaped(tmp_path: Path, text: str) -> None:
    """Text that a spreadsheet would run gets an apostrophe, in cells and in the header."""
    person = contact(phone=text, company=text, variable_values={text: text})
    await export_csv(pages(person), target := tmp_path / "contacts.csv")
    (row,) = rows(target)
    assert row["company"] == row["phone_number"] == f"'{text}"
    assert row[f"variable_values.{text}"] == f"'{text}"


@pytest.mark.parametrize("phone", [PHONE, "+491512345678", "+123456", "+123456789012345"])
async def test_phone_numbers_are_not_escaped(tmp_path: Path, phone: str) -> None:
    """A phone number in E.164 form is written unchanged."""
    await export_csv(pages(contact(phone=phone)), target := tmp_path / "contacts.csv")
    assert rows(target)[0]["phone_number"] == phone


async def test_values_of_every_type_are_written(tmp_path: Path) -> None:
    """Numbers, booleans, lists and unusual characters are written without an error."""
    values = {
        "number": -5, "fraction": 1.5, "true": True, "list": [1, "ü"], "none": None,
        "nul": "a\0b", "emoji": "👩‍👩‍👧", "surrogate": "x\ud800y", "lines": "a\nb", "big": 2**70,
        "surrogates": ["\ud800"],
    }  # fmt: skip
    await export_csv(pages(contact(custom_fields=values)), target := tmp_path / "contacts.csv")
    (row,) = rows(target)
    found = {name: row[f"custom_fields.{name}"] for name in values}
    assert found == {
        "number": "-5", "fraction": "1.5", "true": "true", "list": '[1, "ü"]', "none": "",
        "nul": "a\0b", "emoji": "👩‍👩‍👧", "surrogate": "x\ufffdy", "lines": "a\nb",
        "big": str(2**70), "surrogates": '["\ufffd"]',
    }  # fmt: skip


async def test_jsonl_has_one_object_per_line(tmp_path: Path) -> None:
    """Each line is what `to_dict` returns for one contact."""
    people = [contact(1, company="ü"), contact(2, source="x\ud800")]
    await export_jsonl(pages(*people), target := tmp_path / "contacts.jsonl")
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == to_dict(people[0])
    assert lines[1]["contact_data"]["source"] == "x\ufffd"


async def test_many_rows_do_not_block_the_event_loop(tmp_path: Path) -> None:
    """Other tasks run while rows are written."""
    turns = 0

    async def heartbeat() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(heartbeat())
    await export_csv(pages(*[contact(n) for n in range(2000)]), tmp_path / "contacts.csv")
    task.cancel()
    assert turns >= 3


@pytest.mark.parametrize("export", [export_csv, export_jsonl, export_parquet])
@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_failure_leaves_the_old_file(
    tmp_path: Path, export: Any, error: BaseException
) -> None:
    """An error or a cancellation leaves the old file unchanged and no other file."""
    target = tmp_path / f"contacts{export.__name__}"
    target.write_text("old")
    with pytest.raises(type(error)):
        await export(pages(contact(), error=error), target)
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_text() == "old"


@pytest.mark.parametrize("export", [export_csv, export_jsonl, export_parquet])
async def test_file_is_private(tmp_path: Path, export: Any) -> None:
    """The file has mode 0600, whatever the umask and the mode of the old file."""
    target = tmp_path / "contacts"
    target.write_text("old")
    target.chmod(0o666)
    before = os.umask(0)
    try:
        await export(pages(contact()), target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["contacts"]


async def test_temporary_file_is_private_beside_the_target(tmp_path: Path) -> None:
    """The temporary file is in the folder of the target and has mode 0600."""
    seen: list[tuple[str, int]] = []

    async def watched_pages() -> AsyncGenerator[ContactPage, None]:
        async for page in pages(contact()):
            yield page
        for path in tmp_path.iterdir():
            seen.append((path.name, stat.S_IMODE(path.stat().st_mode)))

    await export_csv(watched_pages(), tmp_path / "contacts.csv")
    ((name, mode),) = seen
    assert name.startswith(".aioburki-")
    assert mode == 0o600


KILLED = """
import asyncio, os, random, signal, sys, time
from pathlib import Path
from aioburki import Contact, ContactData, ContactPage, ContactStatus, Pagination
from aioburki.export import export_csv, export_jsonl

CONTACTS = 60
folder = Path(sys.argv[1])
draw = random.Random(0)

async def pages(version):
    data = ContactData(company=f"version {version}")
    for _ in range(3):
        page = (Contact(1, "+15550199887", data, ContactStatus.BUSY),) * (CONTACTS // 3)
        yield ContactPage(page, Pagination(1, 20, 60, 3, True, False))
        await asyncio.sleep(0)

def export(version, name):
    os.umask(0)
    write = export_csv if name.endswith("csv") else export_jsonl
    asyncio.run(write(pages(version), folder / name))

def version_of(target):
    '''Return the one version that all contacts of a complete file have.'''
    assert target.stat().st_mode & 0o777 == 0o600
    lines = target.read_text().splitlines()[target.suffix == ".csv":]
    assert len(lines) == CONTACTS, len(lines)
    (version,) = {int(line.partition("version ")[2].split('"')[0].split(",")[0]) for line in lines}
    return version

def started(version, name):
    child = os.fork()
    if not child:
        export(version, name)
        os._exit(0)
    return child

for name in ("contacts.csv", "contacts.jsonl"):
    times = []
    for _ in range(5):
        start = time.monotonic()
        os.waitpid(started(0, name), 0)
        times.append(time.monotonic() - start)
    before, old, new = 0, 0, 0
    for version in range(1, 101):
        child = started(version, name)
        time.sleep(draw.uniform(0, 1.5 * sorted(times)[2]))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = version_of(folder / name)
        assert after in (before, version), (before, after, version)
        old, new, before = old + (after == before), new + (after == version), after
    print(name, old, new)
for piece in folder.glob(".aioburki-*"):
    assert piece.stat().st_mode & 0o777 == 0o600
"""


async def test_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Each of 200 exports killed at random moments leaves a complete file with mode 0600."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = [int(count) for line in done.stdout.splitlines() for count in line.split()[1:]]
    assert sum(counts) == 200
    assert min(counts) > 5  # otherwise the moments were not random


@pytest.mark.parametrize("export", [export_csv, export_jsonl])
async def test_full_disk_leaves_the_old_file(tmp_path: Path, export: Any) -> None:
    """The error of a write that fails is raised, and the old file is unchanged."""
    target = tmp_path / "contacts"
    target.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            await export(pages(*(contact(n) for n in range(1000))), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["contacts"]
    assert target.read_text() == "old"


async def test_dangling_link_is_followed(tmp_path: Path) -> None:
    """If the target of a symbolic link does not exist, it is created and the link stays."""
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    await export_csv(pages(contact()), link)
    assert link.is_symlink()
    assert len(rows(real)) == 1
    assert os.listdir(tmp_path / "elsewhere") == ["real.csv"]


@given(st.text() | st.text(alphabet="=+-@\t\r\n \0'\"0123456789\uff1d\ud800", min_size=1))
async def test_no_cell_is_a_formula(text: str) -> None:
    """No text is read as a formula by a spreadsheet, and no text is lost."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow([_cell(text), "end"])
    ((cell, _),) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    whole = re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert cell in (whole, f"'{whole}")
    number = r"[+-]?(?=\.?[0-9])[0-9,']*\.?[0-9]*([eE][+-]?[0-9]+)?"
    assert re.fullmatch(number, cell) or not cell.lstrip().startswith(tuple("=+-@"))


@pytest.mark.parametrize(
    "text",
    ["-45.10", "+3.5", "-0", "+1", "-.5", "-5.", "-1,234", "-1,234,567.89", "+1'234.5", "-1e5",
     "-1.5E-10", "+15551234567", "-12345678901234567890", "12", "1,2", "5-3"],
)  # fmt: skip
async def test_numbers_stay_as_they_are(text: str) -> None:
    """A text that is a plain number gets no apostrophe."""
    assert _cell(text) == text


@pytest.mark.parametrize(
    "text",
    ["-2+3", "-", "+", "-.", "-e5", "-1,23", "-1,2345", "-1,234'567", "--1", "-1e", "-0x1F", "-1\n",
     "-5%", "-1 2", "+1 555 123", "-\u0661", "\t-5", " -5", "-A1", "-1;2", "=1", "@1"],
)  # fmt: skip
async def test_what_is_no_number_is_escaped(text: str) -> None:
    """Whatever else begins as a formula gets an apostrophe, also if it begins as a number."""
    assert _cell(text) == f"'{text}"


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_turns_count_cells(is_resumed: bool, tmp_path: Path) -> None:
    """With 6,000 different keys other tasks run after every few thousand cells."""
    keys = [f"key{number}" for number in range(6000)]
    people = [
        contact(number, variable_values=dict.fromkeys(keys[number::30], 1)) for number in range(30)
    ]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    with (tmp_path / "x.csv").open("w") as file:
        if is_resumed:
            await CSV.write_rows(lambda: (to_dict(each) for each in people), file, 30)
        else:
            await CSV.write(pages(*people), file, tmp_path / "x.csv")
    counting.cancel()
    assert turns >= 30


async def test_link_is_followed(tmp_path: Path) -> None:
    """The file that a symbolic link points to is replaced, and the link stays."""
    real = tmp_path / "real.csv"
    real.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    await export_csv(pages(contact()), str(link))
    assert link.is_symlink()
    assert len(rows(real)) == 1


@pytest.mark.parametrize("name", ["folder", "missing/contacts.csv"])
async def test_invalid_targets_are_refused_first(tmp_path: Path, name: str) -> None:
    """The target is checked before a page is requested."""
    (tmp_path / "folder").mkdir()
    asked = False

    async def ask() -> AsyncGenerator[ContactPage, None]:
        nonlocal asked
        asked = True
        async for page in pages():
            yield page

    with pytest.raises(ConfigurationError):
        await export_csv(ask(), tmp_path / name)
    assert not asked


async def test_long_names_and_circular_links(tmp_path: Path) -> None:
    """A name of 255 characters can be written, and a link to itself is replaced."""
    await export_csv(pages(contact()), tmp_path / ("x" * 255))
    circle = tmp_path / "circle.csv"
    circle.symlink_to(circle)
    await export_csv(pages(contact()), circle)
    assert len(rows(circle)) == 1


@pytest.mark.parametrize("export", [export_csv, export_jsonl, export_parquet])
async def test_pages_are_closed_after_a_failure(tmp_path: Path, export: Any) -> None:
    """An export that fails closes its pages."""
    source = pages(contact(), contact())
    with pytest.raises(ConfigurationError):
        await export(source, tmp_path)
    assert [page async for page in source] == []


@pytest.mark.parametrize("export", [export_csv, export_jsonl])
async def test_deep_values_are_exported(tmp_path: Path, export: Any) -> None:
    """A value nested 800 levels deep can be written."""
    deep: list[Any] = []
    for _ in range(800):
        deep = [deep]
    await export(pages(contact(custom_fields={"deep": deep})), target := tmp_path / "x")
    assert "[" * 800 in target.read_text()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", ["open", "fsync"])
async def test_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    """Once the file is renamed nothing fails any more, whatever the folder allows."""
    original = getattr(os, name)

    def refusing(target: Any, *arguments: Any) -> Any:
        is_folder = os.path.isdir(target) if name == "open" else stat.S_ISDIR(os.fstat(target)[0])
        if is_folder:
            raise OSError(number, os.strerror(number))
        return original(target, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refusing)
        await export_jsonl(pages(contact()), tmp_path / "contacts.jsonl")
    assert len((tmp_path / "contacts.jsonl").read_text().splitlines()) == 1


async def test_temporary_file_that_cannot_be_removed_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error that ended an export is raised, not the one of cleaning up after it."""

    def refusing(*_: Any, **__: Any) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refusing)
        with pytest.raises(ZeroDivisionError):
            await export_jsonl(pages(error=ZeroDivisionError()), tmp_path / "contacts.jsonl")


async def test_spool_that_cannot_be_deleted_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A spool that stays after the file is written is logged, and fails nothing."""

    def refusing(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with closing(SpoolFile(tmp_path / ".spool")) as spool, monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refusing)
        spool.remove()
    assert f"{tmp_path / '.spool'} cannot be deleted: Permission denied" in caplog.text
