"""The benchmarks: who is wrong is not timed, and what the table says follows from the figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from compare import table as comparison
from compare import unpack
from goals import GOALS, Goal
from processes import HERE
from record import Figure, Record, judged
from scenarios import ALL, CLIENTS, FAULTS, Client, Scenario
from table import table
from turns import Entrant, run

pytestmark = pytest.mark.long

# Pulls like the kept aioburki, then tells other ids than those that came.
FORGER = """
from ids import Ids
from peers.aioburki_kept import opened


def ids(contacts):
    ids = [contact.id for contact in contacts]
    {change}
    return Ids(ids)
"""


def entrants(*names: str) -> dict[str, Entrant]:
    return {name: Entrant(CLIENTS[name]) for name in names}


def forgers(folder: Path, changes: dict[str, str]) -> dict[str, Entrant]:
    for name, change in changes.items():
        (folder / f"{name}.py").write_text(FORGER.format(change=change), encoding="utf-8")
    return {name: Entrant(Client(name, name, name)) for name in changes}


def scenario(*clients: str, latency: int = 0, heartbeat: bool = False) -> Scenario:
    return Scenario("near", 6, 20, latency, 2, clients, heartbeat=heartbeat)


def record_of(**speeds: list[float]) -> Record:
    """Return a record in which each client took so many seconds in the rounds of ``near``."""
    record = Record()
    for client, rounds in speeds.items():
        for number, wall in enumerate(rounds):
            record.add("near", client, number, {"wall": wall})
    return record


def goal(text: str) -> Goal:
    (found,) = (goal for goal in GOALS if text in goal.text)
    return found


def test_right_clients_are_timed(capfd: pytest.CaptureFixture[str]) -> None:
    """Clients that return the server's contacts have figures, and lines in the table."""
    names = ("aioburki_kept", "aioburki_streamed", "gather")
    record = Record()
    run([scenario(*names, latency=1)], entrants(*names), 2, record)
    assert not record.problems
    for name in names:
        for figure in ("wall", "cpu", "memory", "connections"):
            assert record.figure("near", name, figure)
        requests = record.figure("near", name, "requests")
        assert requests == Figure(6, 6, 6)
    text = table(record, ["rounds: 2"])
    assert f"| {CLIENTS['gather'].label} |" in text
    assert "rounds: 2" in text
    assert "120 contacts, round 2 of 2" in capfd.readouterr().err


@pytest.mark.may_show("output", why="a made-up number in the fault of a made-up client")
def test_wrong_clients_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that loses, doubles or swaps contacts is shown as wrong, without a time."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    changes = {
        "loses": "ids.pop()",
        "doubles": "ids.append(ids[0])",
        "swaps": "ids[0], ids[1] = ids[1], ids[0]",
        "replaces": "ids[-1] = ids[0]",
        "breaks": "raise RuntimeError('+15550199')",
        "is_right": "pass",
    }
    record = Record()
    run([scenario(*changes)], forgers(tmp_path, changes), 1, record)
    assert record.problems == {
        ("near", "loses"): "**wrong**: 119 of 120 contacts",
        ("near", "doubles"): "**wrong**: 121 of 120 contacts",
        ("near", "swaps"): "**wrong**: other contacts, or in another order",
        ("near", "replaces"): "**wrong**: other contacts, or in another order",
        ("near", "breaks"): "**failed**: RuntimeError",
    }
    for name in changes:
        assert (record.figure("near", name, "wall") is not None) == (name == "is_right")


def test_a_client_that_was_wrong_once_has_no_figures() -> None:
    """The rounds in which it was right do not count."""
    record = record_of(expert=[2.0, 2.0], gather=[1.0, 1.0])
    record.add_problem("near", "gather", "**wrong**: 1 of 2 contacts")
    record.add_problem("near", "gather", "another")
    assert record.figure("near", "gather", "wall") is None
    assert record.ratio(("near", "expert"), ("near", "gather"), "wall") is None
    assert "| **wrong**: 1 of 2 contacts |" in table(record, [])


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose package is missing is told from one that fails."""
    (tmp_path / "needy.py").write_text("import no_such_package", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    record = Record()
    run([scenario("needy")], {"needy": Entrant(Client("needy", "", ""))}, 1, record)
    assert record.problems == {("near", "needy"): "not installed: no_such_package"}


def test_heartbeat_and_faults_are_measured() -> None:
    """Beats beside a pull have figures; connections that faults cost are not held against it."""
    (faulty,) = FAULTS
    short = Scenario(faulty.name, 60, 2, 0, 2, ("aioburki_kept",), heartbeat=True, fault_every=20)
    record = Record()
    run([short], entrants("aioburki_kept"), 1, record)
    late = record.figure("faults", "aioburki_kept", "late_99")
    most = record.figure("faults", "aioburki_kept", "late_most")
    faults = record.figure("faults", "aioburki_kept", "faults")
    assert late
    assert most
    assert faults == Figure(3, 3, 3)
    assert 0 <= late.value <= most.value
    assert goal("+ faults").reached(record) is not None


def test_order_and_number_are_judged() -> None:
    """Equal sums are right, anything else is not."""
    expected = {"count": 2, "digest": "ab"}
    assert judged({"count": 2, "digest": "ab", "wall": 1.0}, expected) is None
    assert judged({"count": 2, "digest": "ba"}, expected)
    assert judged({"count": 3, "digest": "ab"}, expected)


def test_ratios_are_of_medians() -> None:
    """A ratio is that of two medians; its range is that of the rounds."""
    record = record_of(expert=[2.0, 3.0, 10.0], aioburki_kept=[1.0, 2.0, 4.0])
    speed = record.ratio(("near", "expert"), ("near", "aioburki_kept"), "wall")
    assert speed == Figure(1.5, 1.5, 2.5)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(1.0, "met"), (1.25, "met"), (1.26, "missed"), (4.0, "missed")]
)
def test_goals_of_speed_are_judged(seconds: float, verdict: str) -> None:
    """A pull must be 1.6 times as fast as the expert's."""
    record = record_of(expert=[2.0], aioburki_kept=[seconds])
    wanted = goal("200 × 1,000, no latency, kept: speed, × expert")  # noqa: RUF001 - a ratio
    assert wanted.verdict(record) == verdict
    assert ("**missed**" in table(record, [])) == (verdict == "missed")


def test_goals_at_worst_look_at_the_worst_round() -> None:
    """One round beyond the bound misses it, where the goal says at worst."""
    record = Record()
    for number, late in enumerate((10.0, 10.0, 26.0)):
        figures = {"late_most": late, "late_99": late / 2}
        record.add("lag-near", "aioburki_kept", number, figures)
    assert goal("no latency, kept: late, at worst").verdict(record) == "missed"
    assert goal("no latency, kept: late, 99 of").verdict(record) == "met"


def test_goals_without_figures_are_neither_met_nor_missed() -> None:
    """What was not measured is said to be so."""
    assert {goal.verdict(Record()) for goal in GOALS} == {"not measured"}


def test_goals_name_what_is_measured() -> None:
    """No goal waits for a figure of a scenario or client that is not there."""
    record = Record()
    names = ("wall", "cpu", "memory", "late_99", "late_most", "extra_connections")
    for each in ALL:
        for client in each.clients:
            record.add(each.name, client, 0, dict.fromkeys(names, 1.0))
    for name in ("aioburki", "struct"):
        record.add("decode", name, 0, {"wall": 1.0})
    for how in ("plain", "installed"):
        record.add("import", how, 0, {"import": 1.0, "construct": 1.0, "extras": 0.0})
    assert "not measured" not in {goal.verdict(record) for goal in GOALS}


def test_the_command_writes_the_table(tmp_path: Path) -> None:
    """The command of the README runs through, here with lists a fiftieth as long."""
    command = [sys.executable, str(HERE / "pulls.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--clients", "gather"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no chart" in done.stderr
    text = (tmp_path / "pulls.md").read_text(encoding="utf-8")
    assert "no result" in text
    assert CLIENTS["gather"].label in text


def test_quick_figures_do_not_replace_results() -> None:
    """A trial is refused where the results of whole runs are kept."""
    command = [sys.executable, str(HERE / "pulls.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_a_revision_is_compared(tmp_path: Path) -> None:
    """The sources of a revision are unpacked as they were, and ratios say which needs more."""
    repository = tmp_path / "repository"
    (repository / "src").mkdir(parents=True)
    file = repository / "src" / "module.py"
    file.write_text("old", encoding="utf-8")
    git = ["git", "-C", str(repository), "-c", "user.name=any", "-c", "user.email=any"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "old"]):
        subprocess.run([*git, *arguments], check=True)
    file.write_text("new", encoding="utf-8")
    source = unpack(repository, "HEAD", tmp_path / "unpacked")
    assert (source / "module.py").read_text(encoding="utf-8") == "old"
    record = record_of(**{"aioburki_kept tree": [3.0], "aioburki_kept revision": [2.0]})
    record.add_problem("near", "aioburki_streamed tree", "**failed**: any")
    text = comparison([scenario()], "HEAD", record)
    assert "1.50 (1.50 … 1.50)" in text
    assert "tree: **failed**: any" in text
