"""The documents: every code block of the README runs, and what they say fits the package."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
from pathlib import Path

import pytest
from pages import KEY
from redis_server import redis_server

import aioburki
from aioburki import BurkiClient, _errors, cli
from aioburki.sandbox import DRIFTS, FAULTS, Sandbox, serve

ROOT = Path(__file__).parent.parent
PACKAGE = Path(aioburki.__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [code for language, code in BLOCKS if language == "sh"]
SETUPS = [code for code in SHELL if code.startswith("python3 -m venv")]
DOCUMENTS = ["README.md", "CHANGELOG.md", "tests/README.md", "benchmarks/README.md"]
MAX_LINES, MAX_LINE = 325, 120
COMMANDS = [line for code in SHELL for line in code.splitlines() if line.startswith("aioburki")]


@pytest.mark.no_cover
@pytest.mark.asyncio
async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All Python blocks run in order, against the sandbox over HTTP."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(Sandbox(), 0, url.set_result))
    monkeypatch.setenv("BURKI_BASE_URL", await url)
    monkeypatch.setenv("BURKI_API_KEY", KEY)
    names: dict[str, object] = {}
    with redis_server() as path:
        monkeypatch.setenv("BURKI_REDIS_URL", f"unix://{path}")
        for block in PYTHON:
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(block, "README.md", "exec", flags=flags)
            if (running := eval(code, names)) is not None:
                await running
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    out = capsys.readouterr().out
    assert "794 PullReport(contacts=794" in out
    plain, complete = re.findall(r"\d+ lost, \d+ requests, proof: \w+", out)
    assert f"It prints `{plain}`, then `{complete}`." in README
    assert "9999 [1250, 1250, 1250, 1250, 1250, 1250, 1250, 1250]" in out
    assert "HTTP 404: Campaign not found (campaign 7, page 1, 1 attempt). Check" in out


@pytest.mark.may_show("output", why="the contacts are what was asked for")
def test_commands_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands run as printed, against the sandbox."""
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        arguments = shlex.split(command.split(">")[0], comments=True)[1:]
        if arguments[0] == "contacts":
            assert cli.run([*arguments, "--sandbox"]) == 0
    assert (tmp_path / "failed.csv").exists()
    assert (tmp_path / "all.csv").exists()
    assert len(COMMANDS) == 5


def test_sandbox_command_uses_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aioburki sandbox --port` serves on the port that the README names."""
    ports: list[int] = []

    async def record(_: Sandbox, port: int, __: object) -> None:
        ports.append(port)

    monkeypatch.setattr("aioburki.sandbox._http_server.serve_http", record)
    (command,) = (line for line in COMMANDS if line.startswith("aioburki sandbox"))
    assert cli.run(shlex.split(command)[1:]) == 0
    assert ports == [8042]
    assert README.count("127.0.0.1:8042") == 1


def test_every_block_is_run() -> None:
    """Each block is Python, a command, or one of the two set-up lines that CI runs."""
    assert len(PYTHON) + len(SHELL) == len(BLOCKS)
    assert len(SETUPS) == 2
    assert all(code in SETUPS or code.startswith("aioburki") for code in SHELL)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for code in SETUPS:
        assert code in script


def test_settings_are_all_described() -> None:
    """Each argument of the client is in the table, with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*)`?", README, re.MULTILINE))
    parameters = inspect.signature(BurkiClient).parameters
    assert set(parameters) <= set(rows)
    for name in set(parameters) - {"api_key", "base_url"}:  # their defaults are variables
        assert rows[name].strip() == str(parameters[name].default)


def test_errors_faults_and_drifts_are_all_described() -> None:
    """Each error, each fault and each kind of drift is in the README."""
    names = [name for name in vars(_errors) if name.endswith("Error")]
    assert not [name for name in names if f"`{name}`" not in README]
    assert not [name for name in (*FAULTS, *DRIFTS) if f"`{name}`" not in README]


def test_readme_is_short() -> None:
    """The README has at most 325 lines of 120 characters, except the set-up lines."""
    lines = README.splitlines()
    assert len(lines) <= MAX_LINES
    assert not [line for line in lines if len(line) > MAX_LINE and f"{line}\n" not in SETUPS]


def test_every_room_is_described() -> None:
    """The table of rooms has every folder of the package, and names only what exists."""
    section = README.partition("| room |")[2].partition("\n\n")[0]
    names = {name for row in section.splitlines() for name in re.findall(r"`(\w+)`", row)}
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= names
    assert not [name for name in names if not list(PACKAGE.glob(f"{name}*"))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_paths_exist(document: str) -> None:
    """Each relative link, each of its anchors and each path of a script leads to something."""
    folder = (ROOT / document).parent
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        assert (folder / path).exists(), target
        headings = (
            re.findall(r"^#+ (.*)$", (folder / path).read_text(), re.MULTILINE) if anchor else []
        )
        anchors = [heading.lower().replace(" ", "-") for heading in headings]
        assert not anchor or anchor in anchors, target
    for path in re.findall(r"\b(?:tests|benchmarks)/\w+\.py\b", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`(_\w+/\w+\.py)`", text):
        assert (PACKAGE / path).exists(), path
