"""The command line: output, files and exit codes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import KEY

from aioburki import PageFetched, PauseStarted, RetryScheduled, __main__, cli


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
    assert lines[-1] == ["total", "10,000"]
    assert sum(int(count.replace(",", "")) for _, count in lines[:-1]) == 10_000
    assert err == ""


def test_jsonl_and_filters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--status and --limit are passed on to the library."""
    arguments = ["contacts", "42", "--sandbox", "--status", "failed", "--limit", "7"]
    assert cli.run([*arguments, "--output", "contacts.jsonl"]) == 0
    lines = (folder / "contacts.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["failed"] * 7
    assert capsys.readouterr().out == "failed             7\ntotal              7\n"


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """With -o - standard output has the contacts and standard error the table."""
    assert cli.run(["contacts", "42", "--sandbox", "--limit", "3", "-o", "-"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [101, 102, 103]
    assert "total" in err


def test_no_output_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Without -o the statuses are counted and no file is written."""
    assert cli.run(["contacts", "42", "--sandbox", "--per-page", "500", "--concurrency", "2"]) == 0
    assert capsys.readouterr().out.split()[-2:] == ["total", "10,000"]


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


def test_pauses_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A pause for a 429 is shown while it lasts and counted afterwards."""
    with cli._Progress(True, None) as bar:
        bar.show(PauseStarted(campaign_id=42, page=3, seconds=2.0, retry_after=2.0))
        assert "paused for 2.0 s, HTTP 429" in capsys.readouterr().err
        bar.show(RetryScheduled(campaign_id=42, page=3, attempt=1, delay=1, reason="HTTP 503"))
        bar.show(
            PageFetched(
                campaign_id=42, page=3, contacts=9, total_pages=4, total_items=39,
                attempts=2, seconds=2.5,
            )
        )  # fmt: skip
    assert "page 1/4, 1 pauses" in capsys.readouterr().err


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
        (["contacts", "42", "--sandbox", "-o", "contacts.xml"], "must end in .csv or .jsonl"),
        (["contacts", "42", "--sandbox", "-o", "no/folder.csv"], "there is no folder"),
        (["contacts", "x"], "unable to convert"),
        (["contacts"], "requires an argument"),
        (["contacts", "42", "--frobnicate"], "Unknown option"),
        (["frobnicate"], "Unknown command"),
        (["sandbox", "--port", "99999"], "port must be"),
        (["sandbox", "--contacts", "-1"], "contacts must be"),
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
    assert capsys.readouterr().err == "aioburki: No space left on device: output\n"
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
        if name in ("aioburki.cli", "aioburki.sandbox._http_server"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("aioburki.cli", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(sys, "argv", ["aioburki", *arguments])
    assert __main__.main() == 2
    assert message in capsys.readouterr().err


def test_other_missing_modules_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module that is not of an extra raises ModuleNotFoundError."""
    monkeypatch.delitem(sys.modules, "aioburki.cli", raising=False)
    monkeypatch.delattr("aioburki.cli", raising=False)
    monkeypatch.setitem(sys.modules, "aioburki.export", None)
    with pytest.raises(ModuleNotFoundError):
        __main__.main()


@pytest.fixture
def served() -> Iterator[str]:
    """Run `aioburki sandbox` in a process of its own; yield the line with its URL."""
    command = [sys.executable, "-m", "aioburki", "sandbox", "--port", "0", "--latency", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_sandbox_is_served(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aioburki sandbox` serves real HTTP on loopback until Ctrl-C."""
    assert "http://127.0.0.1:" in served
    monkeypatch.setenv("BURKI_BASE_URL", served.split(" on ")[1].split(";", maxsplit=1)[0])
    monkeypatch.setenv("BURKI_API_KEY", "any")
    assert cli.run(["contacts", "42", "-o", "contacts.csv"]) == 0


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 143, "terminated")],
)
def test_signals_leave_no_file(
    served: str, folder: Path, name: str, code: int, message: str
) -> None:
    """A signal during a pull ends it within two seconds, without a file or a traceback."""
    url = served.split(" on ")[1].split(";", maxsplit=1)[0]
    command = [
        sys.executable,
        "-m",
        "aioburki",
        "contacts",
        "42",
        "--per-page",
        "10",
        "-o",
        "x.CSV",
    ]
    environment = os.environ | {"BURKI_BASE_URL": url, "BURKI_API_KEY": "any"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not any(entry.endswith(".part") for entry in os.listdir(folder)):
            time.sleep(0.02)  # the other process has no clock that could be skipped
        time.sleep(0.3)  # the signal is to arrive during the pull
        start = time.monotonic()
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=10)
    assert time.monotonic() - start < 2
    assert process.returncode == code
    assert err == f"aioburki: {message}\n"
    assert os.listdir(folder) == []


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
    assert cli._printable("\x1b[2Jx\ntotal 99\ud800") == "\\x1b[2Jx\\ntotal 99\\ud800"


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
