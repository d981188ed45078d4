"""The command line: output, files and exit codes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow.parquet as pq
import pytest
from pages import KEY

from aioburki import (
    BurkiClient,
    ConnectionFailedError,
    Event,
    PageFetched,
    PauseStarted,
    PullReport,
    RetryScheduled,
    __main__,
    cli,
)
from aioburki.cli._contacts import SANDBOX_URL
from aioburki.cli._printing import (
    flush_if_possible,
    print_if_possible,
    printable,
    report_line,
)
from aioburki.cli._progress import Progress
from aioburki.cli._whole_number import WHOLE
from aioburki.export import export_csv
from aioburki.export._spool_file import SpoolFile
from aioburki.sandbox import Sandbox


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_main_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten thousand contacts are written to a CSV file, and their statuses are counted."""
    assert cli.run(["contacts", "42", "--sandbox", "-o", "contacts.csv"]) == 0
    out, err = capsys.readouterr()
    with open(folder / "contacts.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 10_000
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][0] == "completed"
    assert lines[-2] == ["total", "10,000"]
    assert sum(int(count.replace(",", "")) for _, count in lines[:-2]) == 10_000
    report = "10,000 contacts, complete (coverage), 10 requests, "
    assert re.fullmatch(re.escape(report) + r"\d\.\d s", out.splitlines()[-1])
    assert err == ""


def test_jsonl_and_filters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--status and --limit are passed on to the library."""
    arguments = ["contacts", "42", "--sandbox", "--status", "failed", "--limit", "7"]
    assert cli.run([*arguments, "--output", "contacts.jsonl"]) == 0
    lines = (folder / "contacts.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["failed"] * 7
    table, report = capsys.readouterr().out.split("7 contacts, ")
    assert table == "failed             7\ntotal              7\n"
    assert report.startswith("complete (single page), 1 request, ")


@pytest.mark.parametrize("more", [[], ["--flatten"], ["--resume"], ["--flatten", "--resume"]])
def test_parquet(folder: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    """A Parquet file has the contacts as a table, with --flatten a column for each key."""
    arguments = ["contacts", "42", "--sandbox", "--limit", "1500", "-o", "contacts.PARQUET"]
    assert cli.run([*arguments, *more]) == 0
    table = pq.read_table(folder / "contacts.PARQUET")
    assert table.num_rows == 1500
    assert ("variable_values.name" in table.column_names) == ("--flatten" in more)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["total", "1,500"]
    assert lines[-1].startswith("1,500 contacts, complete (")


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """With -o - standard output has the contacts and standard error the table."""
    assert cli.run(["contacts", "42", "--sandbox", "--limit", "3", "-o", "-"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [101, 102, 103]
    assert "total" in err
    assert "3 contacts, complete (single page), 1 request, " in err


def test_no_output_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Without -o the statuses are counted and no file is written."""
    assert cli.run(["contacts", "42", "--sandbox", "--per-page", "500", "--concurrency", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == ["total", "10,000"]


def test_progress_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """--progress shows pages, contacts and rate on standard error."""
    arguments = ["contacts", "42", "--sandbox", "--limit", "2000", "--progress", "--rate", "50"]
    assert cli.run(arguments) == 0
    err = capsys.readouterr().err
    assert "page 2/10" in err
    assert "2.00k/2.00k" in err
    assert "contacts/s" in err


def test_progress_is_shown_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal shows progress by default, and --no-progress switches it off."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.run(["contacts", "42", "--sandbox"]) == 0
    assert "page 10/10" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.run(["contacts", "42", "--sandbox", "--no-progress"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.asyncio
async def test_pauses_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A pause for a 429 is shown while it lasts and counted afterwards."""
    with Progress(True, None) as bar:
        bar.show(PauseStarted(campaign_id=42, page=3, seconds=2.0, retry_after=2.0))
        assert "paused for 2.0 s, HTTP 429" in capsys.readouterr().err
        bar.show(RetryScheduled(campaign_id=42, page=3, attempt=1, delay=1, reason="busy"))
        bar.show(
            PageFetched(
                campaign_id=42, page=3, contacts=9, total_pages=4, total_items=39,
                attempts=2, seconds=2.5,
            )
        )  # fmt: skip
    assert "page 1/4, 1 pauses" in capsys.readouterr().err


@pytest.mark.asyncio
async def test_pauses_have_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A pause that is not for a 429 is not called one."""
    pause = PauseStarted(
        campaign_id=42, page=3, seconds=2.0, retry_after=None, reason="measured_limit"
    )
    with Progress(True, None) as bar:
        bar.show(pause)
    assert "paused for 2.0 s, measured limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["contacts", "42"], "set BURKI_API_KEY"),
        (["contacts", "0", "--sandbox"], "campaign_id must be a whole number"),
        (["contacts", "../../admin", "--sandbox"], "unable to convert"),
        (["contacts", "42", "--sandbox", "--rate", "nan"], "rate must be"),
        (["contacts", "42", "--sandbox", "--concurrency", "0"], "concurrency must be"),
        (["contacts", "42", "--sandbox", "--per-page", "1001"], "per_page must be"),
        (["contacts", "42", "--sandbox", "--status", "faild"], "did you mean 'failed'?"),
        (["contacts", "42", "--sandbox", "--limit", "-1"], "limit must be"),
        (
            ["contacts", "42", "--sandbox", "-o", "contacts.xml"],
            "must end in .csv, .jsonl or .parquet",
        ),
        (["contacts", "42", "--sandbox", "-o", "no/folder.csv"], "there is no folder"),
        (["contacts", "42", "--sandbox", "-o", "no/x.csv", "--resume"], "there is no folder"),
        (["contacts", "42", "--sandbox", "--resume"], "--resume needs a file: add --output"),
        (["contacts", "42", "--sandbox", "--resume", "-o", "-"], "--resume needs a file"),
        (["contacts", "42", "-o", "x.csv", "--resume", "--no-complete"], "leave out --no-complete"),
        (["contacts", "42", "--no-complete", "--require-complete"], "--no-complete proves nothing"),
        (["contacts", "x"], "unable to convert"),
        (["contacts"], "requires an argument"),
        (["contacts", "42", "--frobnicate"], "Unknown option"),
        (["frobnicate"], "Unknown command"),
        (["sandbox", "--port", "99999"], "port must be"),
        (["sandbox", "--contacts", "-1"], "contacts must be"),
        (["sandbox", "--order", "newest"], 'Choose from: "id", "-id", "touched"'),
        (["sandbox", "--drift", "leave"], "must be written as NAME=NUMBER, such as leave=4"),
        (["sandbox", "--drift", "go=4"], "drift may name leave, delete, import, append, touch,"),
        (["sandbox", "--drift", "leave=-1"], "a number per request from 0 to 10,000"),
        (["sandbox", "--drift", "leave=1, leave=2"], "may name 'leave' only once"),
        (["sandbox", "--order", "-id", "--drift", "append=1"], "cannot append to a list"),
    ],
)
def test_wrong_usage_ends_with_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad arguments are named on standard error, and the exit code is 2."""
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert message in " ".join((out + err).split())


def test_failed_pull_ends_with_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed pull prints one line, leaves no file, and exits with 1."""
    assert cli.run(["contacts", "7", "--sandbox", "-o", "contacts.csv"]) == 1
    assert capsys.readouterr().err == (
        "aioburki: HTTP 404: Campaign not found (campaign 7, page 1, 1 attempt). "
        "Check the campaign id, and that the key belongs to the same account.\n"
    )
    assert os.listdir(folder) == []


def test_unwritable_file_ends_with_one(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk exits with 1 and leaves no file."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cli.run(["contacts", "42", "--sandbox", "-o", "contacts.jsonl"]) == 1
    file = folder / "contacts.jsonl"
    assert capsys.readouterr().err == f"aioburki: No space left on device: {file}\n"
    assert os.listdir(folder) == []


@pytest.mark.parametrize("arguments", [["--help"], [], ["--version"], ["contacts", "--help"]])
def test_help_and_version_exit_with_zero(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """--help and --version exit with 0."""
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out


def test_key_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Key and base URL are read from the environment."""
    monkeypatch.setenv("BURKI_API_KEY", KEY)
    monkeypatch.setenv("BURKI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("aioburki._requests.retry_policy.back_off", lambda *_: 0.0)
    assert cli.run(["contacts", "42"]) == 1
    assert "could not connect to 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} ", f"Bearer {KEY}", f"{KEY}\u2019", " "])
def test_unusable_key_ends_with_two_and_is_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A malformed key exits with 2; the message names the variable and not its value."""
    monkeypatch.setenv("BURKI_API_KEY", key)
    assert cli.run(["contacts", "42"]) == 2
    assert capsys.readouterr().err.startswith("aioburki: BURKI_API_KEY ")


@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        ("cyclopts", ["contacts", "42"], "pip install 'aioburki[cli]'"),
        ("tqdm", ["contacts", "42"], "pip install 'aioburki[cli]'"),
        ("uvicorn", ["sandbox"], "pip install 'aioburki[sandbox]'"),
        (
            "pyarrow",
            ["contacts", "42", "--sandbox", "-o", "x.parquet"],
            "pip install 'aioburki[arrow]'",
        ),
    ],
)
def test_missing_extras_are_named(
    missing: str,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If an extra is missing, the message says what to install."""
    for name in [*sys.modules]:
        if name.startswith(("aioburki.cli", "aioburki.sandbox._http_server", "aioburki._tables")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("aioburki.cli", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(sys, "argv", ["aioburki", *arguments])
    assert __main__.main() == 2
    assert message in capsys.readouterr().err


def test_other_missing_modules_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module that is not of an extra raises ModuleNotFoundError."""
    for name in [name for name in sys.modules if name.startswith("aioburki.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("aioburki.cli", raising=False)
    monkeypatch.setitem(sys.modules, "aioburki.export", None)
    with pytest.raises(ModuleNotFoundError):
        __main__.main()


@pytest.mark.parametrize("output", [[], ["-o", "-"], ["-o", "contacts.csv"]])
def test_flatten_needs_a_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: list[str],
) -> None:
    """`--flatten` without a Parquet file is wrong usage, which is said before a request is sent."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["aioburki", "contacts", "42", "--sandbox", "--flatten", *output]
    )
    assert __main__.main() == 2
    assert "add --output FILE.parquet" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_missing_part_of_an_extra_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pyarrow without one of its own modules raises ModuleNotFoundError."""
    for name in [name for name in sys.modules if name.startswith("aioburki._tables")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    arguments = ["aioburki", "contacts", "42", "--sandbox", "-o", str(tmp_path / "x.parquet")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(ModuleNotFoundError):
        __main__.main()


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run `aioburki sandbox` in a process of its own; yield the line with its URL."""
    command = [sys.executable, "-m", "aioburki", "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.fixture
def served() -> Iterator[str]:
    with serving("--latency", "0.2") as line:
        yield line


def use(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in this process ask the served sandbox."""
    monkeypatch.setenv("BURKI_BASE_URL", served.split(" on ")[1].split(";", maxsplit=1)[0])
    monkeypatch.setenv("BURKI_API_KEY", "any")


def test_sandbox_is_served(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aioburki sandbox` serves real HTTP on loopback until Ctrl-C."""
    assert "http://127.0.0.1:" in served
    use(served, monkeypatch)
    assert cli.run(["contacts", "42", "-o", "contacts.csv"]) == 0


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_sandbox_has_an_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--order and --id-gaps say what the ids of the served list are."""
    with serving("--contacts", "500", "--order", "-id", "--id-gaps") as served:
        use(served, monkeypatch)
        assert cli.run(["contacts", "42", "-o", "-"]) == 0
    ids = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert ids == Sandbox(500, order="-id", id_gaps=True).ids()


@pytest.mark.parametrize(
    ("is_complete", "report"),
    [
        (True, r"[\d,]+ contacts, complete \(coverage\), \d+ requests, \d+ probes?, "),
        (False, r"1,9\d\d contacts, not proved complete \(none\), 20 requests, "),
    ],
)
def test_served_list_moves(
    is_complete: bool,
    report: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With --drift contacts leave while the list is read; a plain pull does not see all others."""
    with serving("--contacts", "2000", "--drift", "leave=4, touch=0.5") as served:
        use(served, monkeypatch)
        plain = [] if is_complete else ["--no-complete"]
        arguments = ["contacts", "42", "--per-page", "100", "-o", "x.csv", *plain]
        assert cli.run([*arguments, "--concurrency", "1"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.match(report, line), line


def start(served: str, *arguments: str, per_page: int = 10) -> subprocess.Popen[str]:
    """Start `aioburki contacts 42` against the served sandbox."""
    url = served.split(" on ")[1].split(";", maxsplit=1)[0]
    command = [sys.executable, "-m", "aioburki", "contacts", "42", "--per-page", str(per_page)]
    environment = os.environ | {"BURKI_BASE_URL": url, "BURKI_API_KEY": "any"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, *arguments], env=environment, stdout=pipe, stderr=pipe, text=True
    )


def wait_for_file(folder: Path, suffix: str, size: int = 0) -> None:
    """Wait until *folder* has a file of so many bytes whose name ends with *suffix*."""
    while not any(each.stat().st_size >= size for each in folder.glob(f".*{suffix}")):
        time.sleep(0.02)  # the other process has no clock that could be skipped


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 143, "terminated")],
)
def test_signals_leave_no_file(
    served: str, folder: Path, name: str, code: int, message: str
) -> None:
    """A signal during a pull ends it within two seconds, without a file or a traceback."""
    with start(served, "-o", "x.CSV") as process:
        wait_for_file(folder, ".part")
        time.sleep(0.3)  # the signal is to arrive during the pull
        before = time.monotonic()
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=10)
    assert time.monotonic() - before < 2
    assert process.returncode == code
    assert err == f"aioburki: {message}\n"
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 143, "terminated")],
)
def test_signals_keep_what_has_come_with_resume(
    served: str, folder: Path, name: str, code: int, message: str
) -> None:
    """With --resume a signal keeps what has come and says where; the same command goes on."""
    spool = folder / ".x.csv.aioburki-resume"
    with start(served, "-o", "x.csv", "--resume") as process:
        wait_for_file(folder, "-resume", 10_000)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=10)
    assert process.returncode == code
    kept = (
        rf"aioburki: ([\d,]+) contacts are kept in {spool}: the same command resumes behind them\n"
    )
    found = re.fullmatch(kept + f"aioburki: {message}\n", err)
    assert found
    assert os.listdir(folder) == [spool.name]
    with start(served, "-o", "x.csv", "--resume", per_page=1000) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err.startswith(f"aioburki: resuming behind {found[1]} contacts that are kept in {spool}")
    assert "10,000 contacts, complete (coverage), " in out
    assert len(rows_of(folder / "x.csv")) == 10_000
    assert os.listdir(folder) == ["x.csv"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


async def begin(folder: Path, base_url: str | None) -> int:
    """Leave what a process keeps that ends early; return the number of contacts."""
    sandbox = Sandbox()

    def stop(event: object) -> None:
        sandbox.is_down = isinstance(event, PageFetched) and event.page == 4

    async with BurkiClient(
        "any", base_url=base_url, transport=sandbox.transport, on_event=stop, attempts=1,
        concurrency=1,
    ) as burki:  # fmt: skip
        with pytest.raises(ConnectionFailedError):
            await export_csv(burki.contacts(42), folder / "x.csv", resume=True)
    return 4_000


def test_resumed_export_shows_all_its_contacts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress begins with what is kept, and the table and the report speak of all contacts."""
    asyncio.run(begin(folder, SANDBOX_URL))
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--resume", "--progress"]
    assert cli.run(arguments) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["completed", "3,851"]
    assert out.splitlines()[-2].split() == ["total", "10,000"]
    assert out.splitlines()[-1].startswith("10,000 contacts, complete (coverage), ")
    assert "resuming behind 4,000 contacts" in err
    assert "10.0k/10.0k" in err
    assert not re.search(r"[^\d.][123]\.\d\dk/", err)
    assert len(rows_of(folder / "x.csv")) == 10_000


def test_sandbox_is_not_taken_for_the_server(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is kept of a server is not gone on with from the embedded sandbox."""
    asyncio.run(begin(folder, None))
    assert cli.run(["contacts", "42", "--sandbox", "-o", "x.csv", "--resume"]) == 2
    err = capsys.readouterr().err
    assert "of another pull, of campaign 42, all statuses, without a limit, on https://api" in err
    assert "delete the file to start anew" in err


def test_limit_of_a_resumed_export_is_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another --limit or --status than the one begun exits with 2."""
    asyncio.run(begin(folder, SANDBOX_URL))
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--resume"]
    assert cli.run([*arguments, "--limit", "5000"]) == 2
    assert cli.run([*arguments, "--status", "busy"]) == 2
    assert cli.run(arguments) == 0


def test_unordered_list_starts_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list without a usable order starts anew, which is said, and is not proved complete."""
    asyncio.run(begin(folder, SANDBOX_URL))
    monkeypatch.setattr("aioburki.cli._contacts.Sandbox", lambda: Sandbox(order="ties"))
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--resume", "--progress"]
    assert cli.run([*arguments, "--require-complete"]) == 3
    out, err = capsys.readouterr()
    assert "10,000 contacts, not proved complete (count), " in out
    assert "the same command resumes" not in err
    assert "resuming behind 4,000 contacts" in err
    assert "aioburki: it is not proved that these are all contacts" in err
    assert {len(rows_of(folder / "x.csv")), len(ids_of(folder / "x.csv"))} == {10_000}
    assert os.listdir(folder) == ["x.csv"]


def ids_of(path: Path) -> set[str]:
    return {row["id"] for row in rows_of(path)}


def test_one_process_at_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While one process writes what is kept, another one with --resume exits with 2."""
    asyncio.run(begin(folder, SANDBOX_URL))
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--resume"]
    path = folder / ".x.csv.aioburki-resume"
    with closing(SpoolFile(path)):
        assert cli.run(arguments) == 2
        assert capsys.readouterr().err == (
            f"aioburki: another process is writing to {path}: wait until it has ended\n"
        )
    assert cli.run(arguments) == 0


def test_damaged_spool_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in the place of what is kept that cannot be read exits with 2, and says what to do."""
    path = folder / ".x.csv.aioburki-resume"
    path.write_bytes(b"random")
    path.chmod(0o600)
    assert cli.run(["contacts", "42", "--sandbox", "-o", "x.csv", "--resume"]) == 2
    assert capsys.readouterr().err == (
        f"aioburki: {path} cannot be read: delete it to start anew\n"
    )
    assert os.listdir(folder) == [path.name]


def test_full_disk_keeps_what_has_come(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk exits with 1, names the file, and the same command goes on when there is room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--resume"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, before[1]))
    try:
        assert cli.run(arguments) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    path = folder / ".x.csv.aioburki-resume"
    assert re.fullmatch(
        rf"aioburki: \d,000 contacts are kept in {path}: .*\naioburki: File too large: {path}\n",
        capsys.readouterr().err,
    )
    assert cli.run(arguments) == 0
    assert len(rows_of(folder / "x.csv")) == 10_000


def test_nothing_is_said_of_contacts_that_cannot_be_gone_on_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the pull of a list without a usable order fails, it is not said that it can go on."""
    sandbox, show = Sandbox(order="ties"), Progress.show

    def stop(bar: Progress, event: Event) -> None:
        show(bar, event)
        if isinstance(event, PageFetched) and event.page == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("aioburki.cli._contacts.Sandbox", lambda: sandbox)
    monkeypatch.setattr(Progress, "show", stop)
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--resume", "--per-page", "500"]
    assert cli.run([*arguments, "--concurrency", "1"]) == 130
    err = capsys.readouterr().err
    assert err.endswith("aioburki: interrupted\n")
    assert "are kept" not in err


def test_nothing_is_said_of_a_folder_that_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the folder is removed during the pull, it is not said that contacts are kept there."""
    (folder / "gone").mkdir()

    def remove(*_: object) -> None:
        shutil.rmtree(folder / "gone", ignore_errors=True)

    monkeypatch.setattr(Progress, "show", remove)
    arguments = ["contacts", "42", "--sandbox", "-o", "gone/x.csv", "--resume"]
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err == f"aioburki: there is no folder {folder / 'gone'}\n"


def test_pull_that_fails_without_resume_keeps_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pull with --resume that fails before the first contact leaves nothing and says nothing."""
    assert cli.run(["contacts", "7", "--sandbox", "-o", "x.csv", "--resume"]) == 1
    assert "are kept" not in capsys.readouterr().err
    assert os.listdir(folder) == []


def test_plain_pull_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """--no-complete pulls pages of one size, and the report says that nothing is proved."""
    assert cli.run(["contacts", "42", "--sandbox", "--no-complete"]) == 0
    assert "10,000 contacts, not proved complete (none), 10 requests, " in capsys.readouterr().out


@pytest.mark.parametrize("is_complete", [True, False])
def test_proof_can_be_required(
    folder: Path,
    is_complete: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With --require-complete a pull that is not proved complete is written, and exits with 3."""
    if not is_complete:
        monkeypatch.setattr("aioburki._paging.complete_reading.CompleteReading.proof", "none")
    arguments = ["contacts", "42", "--sandbox", "-o", "x.csv", "--require-complete"]
    assert cli.run(arguments) == (0 if is_complete else 3)
    out, err = capsys.readouterr()
    assert ("not proved complete" in out) == (not is_complete)
    expected = "" if is_complete else "aioburki: it is not proved that these are all contacts\n"
    assert err == expected
    assert len(rows_of(folder / "x.csv")) == 10_000


def test_report_is_one_line() -> None:
    """The report's line says what is proved, what is missing and what it took."""
    proved = PullReport(contacts=30_000, requests=33, probes=2, proof="coverage", elapsed=4.06)
    assert report_line(proved) == (
        "30,000 contacts, complete (coverage), 33 requests, 2 probes, 4.1 s"
    )
    missing = PullReport(contacts=1, requests=1, probes=1, missing=1_200)
    assert report_line(missing) == (
        "1 contact, not proved complete (none; the server counts 1,200 more), 1 request, 1 probe, "
        "0.0 s"
    )
    unread = PullReport(contacts=2, requests=1, proof="coverage", problem_count=1)
    assert report_line(unread) == (
        "2 contacts, complete (coverage), 1 request, 1 optional field not read, 0.0 s"
    )


def test_interruption_has_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C exits with 130, a cancellation by a signal with 143."""
    for error, code, message in (
        (KeyboardInterrupt(), 130, "interrupted"),
        (asyncio.CancelledError(), 143, "terminated"),
    ):

        async def interrupted(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(type(cli.app), "run_async", interrupted)
        assert cli.run(["contacts", "42", "--sandbox"]) == code
        assert capsys.readouterr().err == f"aioburki: {message}\n"


def test_ignored_signals_stay_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGHUP stays ignored under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.run(["contacts", "42", "--sandbox", "-o", "contacts.csv"]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_port_in_use_is_named(served: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is in use exits with 1, and the message names it."""
    port = served.split(" on ")[1].split(";", maxsplit=1)[0].rsplit(":", 1)[1]
    assert cli.run(["sandbox", "--port", port]) == 1
    assert capsys.readouterr().err == (
        f"aioburki: port {port} cannot be used: Address already in use\n"
    )


def test_status_cannot_control_the_terminal() -> None:
    """Control characters and surrogates in a status are escaped."""
    assert printable("\x1b[2Jx\ntotal 99\ud800") == "\\x1b[2Jx\\ntotal 99\\ud800"


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_closed_pipe_prints_no_error(folder: Path) -> None:
    """`aioburki … -o - | head` prints nothing on standard error."""
    command = f"{sys.executable} -m aioburki contacts 42 --sandbox -o - | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["id"] == 101
    assert done.stderr == ""


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_standard_output_is_utf_8_whatever_the_locale() -> None:
    """Standard output is UTF-8 if the locale has another encoding."""
    command = [sys.executable, "-m", "aioburki", "contacts", "42", "--sandbox", "-o", "-"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True)
    assert "Zoë".encode() in done.stdout


def test_broken_pipe_ends_with_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pipe that the reader has closed exits with 1."""

    class Closed(io.StringIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return duplicate

    with open(tmp_path / "stdout", "w") as file:
        duplicate = file.fileno()
        monkeypatch.setattr(sys, "stdout", Closed())
        assert cli.run(["contacts", "42", "--sandbox", "-o", "-"]) == 1


WHOLE_NUMBERS = [
    ["contacts", "{}", "--sandbox"],
    *(["contacts", "42", "--sandbox", name, "{}"] for name in ("--limit", "--per-page")),
    ["contacts", "42", "--sandbox", "--concurrency", "{}"],
    *(["sandbox", name, "{}"] for name in ("--contacts", "--port", "--seed")),
]


@pytest.mark.parametrize("number", ["41.6", "42.0", "4e1", "0x2a", "4_2", "\uff14", "four", ""])
@pytest.mark.parametrize("arguments", WHOLE_NUMBERS, ids=" ".join)
def test_numbers_that_are_not_whole_are_wrong_usage(
    arguments: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that is not whole, in decimal digits, exits with 2 and is not rounded."""
    assert cli.run([each.format(number) for each in arguments]) == 2
    text = re.sub(r"[│\s]+", " ", capsys.readouterr().err)
    assert "is not a whole number" in text


def test_every_whole_number_of_the_command_line_is_known() -> None:
    """Each argument of the commands that is an int is checked to be whole."""
    checked = 0
    for command in (cli._contacts.contacts, cli._sandbox.serve_sandbox):
        for name, kind in get_type_hints(command, include_extras=True).items():
            if "int" in str(kind) and name != "return":
                assert WHOLE in getattr(kind, "__metadata__", ()), name
                checked += 1
    assert checked == len(WHOLE_NUMBERS)


def in_shell(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `aioburki contacts 42 --sandbox` in a process whose streams a shell redirects."""
    command = [sys.executable, "-m", "aioburki", "contacts", "42", "--sandbox", *arguments]
    shell = ["bash", "-c", f'"$@" {redirection}; echo "exit $?" >&3', "bash", *command]
    script = ["bash", "-c", 'exec 3>&1; "$@"', "bash", *shell]
    return subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("more", [[], ["--progress"], ["--resume"]], ids=" ".join)
def test_missing_streams_do_not_keep_a_file_from_being_written(
    folder: Path, redirection: str, more: list[str]
) -> None:
    """Without standard output or standard error the file is written, and the exit code is 0."""
    done = in_shell(redirection, "-o", "contacts.jsonl", *more)
    assert done.stdout.endswith("exit 0\n")
    assert "Traceback" not in done.stderr
    assert len((folder / "contacts.jsonl").read_text().splitlines()) == 10_000


def test_missing_standard_output_is_named() -> None:
    """`-o -` without a standard output is wrong usage, in one line."""
    done = in_shell(">&-", "-o", "-")
    assert done.stdout == "exit 2\n"
    assert done.stderr == "aioburki: --output - needs a standard output, which is closed\n"


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_missing_standard_error_sends_nothing_elsewhere() -> None:
    """What belongs to standard error is not printed between the contacts."""
    done = in_shell("2>&-", "-o", "-", "--limit", "3")
    assert done.stdout.splitlines()[-1] == "exit 0"
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()[:-1]] == [101, 102, 103]


@pytest.mark.parametrize(
    "arguments", [["-o", "contacts.csv"], ["-o", "contacts.csv", "--progress"]]
)
def test_reader_that_goes_away_after_the_file_is_complete_is_no_failure(
    folder: Path, arguments: list[str]
) -> None:
    """Pipes whose readers are gone do not make a pull fail whose file is written."""
    done = in_shell("> >(:) 2> >(:)", *arguments)
    assert done.stdout == "exit 0\n"
    assert (folder / "contacts.csv").exists()


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_reader_of_standard_error_that_goes_away_is_no_failure() -> None:
    """Contacts on standard output are complete if only the reader of the summary is gone."""
    done = in_shell("2> >(:)", "-o", "-", "--limit", "3")
    assert done.stdout.splitlines()[-1] == "exit 0"


def test_reader_that_goes_away_before_the_table_is_a_failure() -> None:
    """Without a file the table is what was asked for: not printed, it exits with 1."""
    assert in_shell("> >(:)").stdout == "exit 1\n"


def test_statuses_are_printed_in_any_encoding() -> None:
    """A text that the encoding of a stream lacks is escaped, and is no failure."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_if_possible("Zo\xeb \udc80", file)
    assert raw.getvalue() == rb"Zo\xeb \udc80" + b"\n"


def test_closed_stream_is_ignored() -> None:
    """A stream that is closed, and has no descriptor, is ignored."""
    file = io.StringIO()
    file.close()
    print_if_possible("text", file)


@pytest.mark.filterwarnings("error")
def test_what_a_closed_pipe_holds_is_dropped() -> None:
    """Output that nobody can read any more is dropped, so that Python does not fail at its exit."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as file:
        print("table", file=file)
        flush_if_possible(file)


def test_stream_without_a_descriptor_is_no_failure() -> None:
    """A stream that can neither be flushed nor replaced is left alone."""

    class Broken(io.StringIO):
        def flush(self) -> None:
            raise OSError

    flush_if_possible(Broken())
    flush_if_possible(None)
