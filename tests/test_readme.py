"""The README: every block of code runs, and what it says agrees with the package."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
from pathlib import Path

import pytest
from pages import KEY

from aioburki import BurkiClient, _errors, cli
from aioburki.sandbox import FAULTS, Sandbox, serve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [code for language, code in BLOCKS if language == "sh"]
SETUPS = [code for code in SHELL if code.startswith("python3 -m venv")]
COMMANDS = [line for code in SHELL for line in code.splitlines() if line.startswith("aioburki")]


@pytest.mark.asyncio
async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All Python blocks run in their order, against the sandbox over real HTTP."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(Sandbox(), 0, url.set_result))
    monkeypatch.setenv("BURKI_BASE_URL", await url)
    monkeypatch.setenv("BURKI_API_KEY", KEY)
    names: dict[str, object] = {}
    for block in PYTHON:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(block, "README.md", "exec", flags=flags)
        if (running := eval(code, names)) is not None:
            await running
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    out = capsys.readouterr().out
    assert "794 PullReport(contacts=794" in out
    assert "HTTP 404: Campaign not found (campaign 7, page 1, 1 attempt). Check" in out


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_commands_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands of the command line run as they stand there, against the sandbox."""
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        arguments = shlex.split(command.split(">")[0], comments=True)[1:]
        if arguments[0] == "contacts":
            assert cli.run([*arguments, "--sandbox"]) == 0
    assert (tmp_path / "failed.csv").exists()
    assert len(COMMANDS) == 4


def test_sandbox_is_served_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command for the sandbox takes the port that stands there."""
    asked: list[int] = []

    async def note(_: Sandbox, port: int, __: object) -> None:
        asked.append(port)

    monkeypatch.setattr("aioburki.sandbox._http_server.serve_http", note)
    (command,) = (line for line in COMMANDS if line.startswith("aioburki sandbox"))
    assert cli.run(shlex.split(command)[1:]) == 0
    assert asked == [8042]
    assert README.count("127.0.0.1:8042") == 1


def test_every_block_is_run_by_something() -> None:
    """Python and commands run here; the two set-up lines run word for word in CI."""
    assert len(PYTHON) + len(SHELL) == len(BLOCKS)
    assert len(SETUPS) == 2
    assert all(code in SETUPS or code.startswith("aioburki") for code in SHELL)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for code in SETUPS:
        assert code in script


def test_settings_are_all_described() -> None:
    """Each keyword of the client stands in the table, with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*)`?", README, re.MULTILINE))
    parameters = inspect.signature(BurkiClient).parameters
    assert set(parameters) <= set(rows)
    for name in ("concurrency", "rate", "attempts", "timeout", "max_wait", "max_body"):
        assert rows[name].strip() == str(parameters[name].default)


def test_errors_and_faults_are_all_described() -> None:
    """Each error and each fault has its place in the README."""
    names = [name for name in vars(_errors) if name.endswith("Error")]
    assert not [name for name in names if f"`{name}`" not in README]
    assert not [name for name in FAULTS if f"`{name}`" not in README]
