"""The benchmarks: clients that return wrong contacts have no figures, and tables match figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dask_workers
import pytest
from compare import table as comparison
from compare import unpack
from goals import GOALS, Goal
from processes import HERE
from record import Figure, Record, problem_of
from scenarios import ALL, CLIENTS, FAULTS, Client, Scenario
from served import served
from table import table
from turns import ClientVersion, run

from aioburki.sandbox import Sandbox

pytestmark = pytest.mark.long

# A client that pulls like `aioburki_kept`, but changes the ids that it returns.
WRONG_CLIENT = """
from ids import Ids
from peers.aioburki_kept import open_pull


def ids(contacts):
    ids = [contact.id for contact in contacts]
    {change}
    return Ids(ids)
"""


def versions(*names: str) -> dict[str, ClientVersion]:
    return {name: ClientVersion(CLIENTS[name]) for name in names}


def wrong_clients(folder: Path, changes: dict[str, str]) -> dict[str, ClientVersion]:
    """Write a module for each of *changes* into *folder*, and return its clients."""
    for name, change in changes.items():
        (folder / f"{name}.py").write_text(WRONG_CLIENT.format(change=change), encoding="utf-8")
    return {name: ClientVersion(Client(name, name, name)) for name in changes}


def scenario(*clients: str, latency: int = 0, heartbeat: bool = False) -> Scenario:
    return Scenario("near", 6, 20, latency, 2, clients, heartbeat=heartbeat)


def record_of(**speeds: list[float]) -> Record:
    """Return a record with the seconds of each client in the rounds of the scenario ``near``."""
    record = Record()
    for client, rounds in speeds.items():
        for number, wall in enumerate(rounds):
            record.add("near", client, number, {"wall": wall})
    return record


def goal(text: str) -> Goal:
    (found,) = (goal for goal in GOALS if text in goal.text)
    return found


def test_correct_clients_are_timed(capfd: pytest.CaptureFixture[str]) -> None:
    """Clients that return the server's contacts have figures and rows in the table."""
    names = ("aioburki_kept", "aioburki_streamed", "gather")
    record = Record()
    run([scenario(*names, latency=1)], versions(*names), 2, record)
    assert not record.problems
    for name in names:
        for figure in ("wall", "cpu", "memory", "connections"):
            assert record.figure("near", name, figure)
        # Ids have gaps, so a complete pull of six pages takes six and a tenth, and one.
        requests = 6 if name == "gather" else 8
        assert record.figure("near", name, "requests") == Figure(requests, requests, requests)
    text = table(record, ["rounds: 2"])
    assert f"| {CLIENTS['gather'].label} |" in text
    assert "rounds: 2" in text
    assert "120 contacts, round 2 of 2" in capfd.readouterr().err


@pytest.mark.may_show("output", why="the test client fails with a phone number in its error")
def test_wrong_clients_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that loses, doubles or reorders contacts, or fails, has a problem and no time."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    changes = {
        "loses": "ids.pop()",
        "doubles": "ids.append(ids[0])",
        "swaps": "ids[0], ids[1] = ids[1], ids[0]",
        "replaces": "ids[-1] = ids[0]",
        "breaks": "raise RuntimeError('+15550199')",
        "is_correct": "pass",
    }
    record = Record()
    run([scenario(*changes)], wrong_clients(tmp_path, changes), 1, record)
    assert record.problems == {
        ("near", "loses"): "**wrong**: 119 of 120 contacts",
        ("near", "doubles"): "**wrong**: 121 of 120 contacts",
        ("near", "swaps"): "**wrong**: other contacts, or in another order",
        ("near", "replaces"): "**wrong**: other contacts, or in another order",
        ("near", "breaks"): "**failed**: RuntimeError",
    }
    for name in changes:
        assert (record.figure("near", name, "wall") is not None) == (name == "is_correct")


def test_a_client_that_was_wrong_once_has_no_figures() -> None:
    """A client that was wrong in one round has no figures from its other rounds."""
    record = record_of(expert=[2.0, 2.0], gather=[1.0, 1.0])
    record.add_problem("near", "gather", "**wrong**: 1 of 2 contacts")
    record.add_problem("near", "gather", "another")
    assert record.figure("near", "gather", "wall") is None
    assert record.ratio(("near", "expert"), ("near", "gather"), "wall") is None
    assert "| **wrong**: 1 of 2 contacts |" in table(record, [])


def test_missing_package_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose package is not installed is reported as such, not as failed."""
    (tmp_path / "needy.py").write_text("import no_such_package", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    record = Record()
    run([scenario("needy")], {"needy": ClientVersion(Client("needy", "", ""))}, 1, record)
    assert record.problems == {("near", "needy"): "not installed: no_such_package"}


def test_lag_and_faults_are_measured() -> None:
    """Loop lag is measured, and connections replaced after faults do not count as extra."""
    (faulty,) = FAULTS
    short = Scenario(faulty.name, 60, 40, 0, 2, ("aioburki_kept",), heartbeat=True, fault_every=20)
    record = Record()
    run([short], versions("aioburki_kept"), 1, record)
    lag_p99 = record.figure("faults", "aioburki_kept", "lag_p99")
    lag_max = record.figure("faults", "aioburki_kept", "lag_max")
    faults = record.figure("faults", "aioburki_kept", "faults")
    assert lag_p99
    assert lag_max
    assert faults == Figure(3, 3, 3)
    assert 0 <= lag_p99.value <= lag_max.value
    assert goal("+ faults").reached(record) is not None


def test_order_and_number_of_ids_are_compared() -> None:
    """Only an equal count and digest are correct."""
    expected = {"count": 2, "digest": "ab"}
    assert problem_of({"count": 2, "digest": "ab", "wall": 1.0}, expected) is None
    assert problem_of({"count": 2, "digest": "ba"}, expected)
    assert problem_of({"count": 3, "digest": "ab"}, expected)


def test_ratios_are_of_medians() -> None:
    """A ratio is that of two medians; its range is that of single rounds."""
    record = record_of(expert=[2.0, 3.0, 10.0], aioburki_kept=[1.0, 2.0, 4.0])
    speed = record.ratio(("near", "expert"), ("near", "aioburki_kept"), "wall")
    assert speed == Figure(1.5, 1.5, 2.5)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(1.0, "met"), (1.25, "met"), (1.26, "missed"), (4.0, "missed")]
)
def test_speed_goals_are_met_or_missed(seconds: float, verdict: str) -> None:
    """A pull at 1.6 times the speed of the expert's client or more meets its goal."""
    record = record_of(expert=[2.0], aioburki_kept=[seconds])
    wanted = goal("200 × 1,000, no latency, kept: speed, × expert")  # noqa: RUF001 - a ratio
    assert wanted.verdict(record) == verdict
    assert ("**missed**" in table(record, [])) == (verdict == "missed")


def test_goals_for_maxima_look_at_the_worst_round() -> None:
    """One round above the bound misses a goal for a maximum."""
    record = Record()
    for number, lag in enumerate((10.0, 10.0, 26.0)):
        figures = {"lag_max": lag, "lag_p99": lag / 2}
        record.add("lag-near", "aioburki_kept", number, figures)
    assert goal("no latency, kept: maximum").verdict(record) == "missed"
    assert goal("no latency, kept: 99th").verdict(record) == "met"


def test_goals_without_figures_are_neither_met_nor_missed() -> None:
    """A goal without figures is `not measured`."""
    assert {goal.verdict(Record()) for goal in GOALS} == {"not measured"}


def test_goals_use_figures_that_are_measured() -> None:
    """Each goal uses figures of scenarios and clients that exist."""
    record = Record()
    names = ("wall", "cpu", "memory", "lag_p99", "lag_max", "extra_connections")
    for each in ALL:
        for client in each.clients:
            record.add(each.name, client, 0, dict.fromkeys(names, 1.0))
    for name in ("aioburki", "struct"):
        record.add("decode", name, 0, {"wall": 1.0})
    for how in ("plain", "installed"):
        record.add("import", how, 0, {"import": 1.0, "construct": 1.0, "extras": 0.0})
    assert "not measured" not in {goal.verdict(record) for goal in GOALS}


def test_the_command_writes_the_table(tmp_path: Path) -> None:
    """The command of the README writes the table, here with a fiftieth of the pages."""
    command = [sys.executable, str(HERE / "pulls.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--clients", "gather"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no chart" in done.stderr
    text = (tmp_path / "pulls.md").read_text(encoding="utf-8")
    assert "not a result" in text
    assert CLIENTS["gather"].label in text


def test_moving_lists_are_measured(tmp_path: Path) -> None:
    """The command writes the table of moving lists, here with a tenth of the contacts."""
    command = [sys.executable, str(HERE / "moving.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "moving.md").read_text(encoding="utf-8")
    assert "3,000 contacts in pages of 100" in text
    assert "| nothing moves | 0 (0) | 30 | 0 (0) | 60 | 0 (0) | 30 | 1 of 1 |" in text


def test_tables_are_measured(tmp_path: Path) -> None:
    """The command writes the table, here with a fiftieth of the pages and one client."""
    command = [sys.executable, str(HERE / "tables.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--clients", "table_aioburki_parquet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "not a result" in text
    assert "failed" not in text
    assert "above the idle client | ≤ 150 MiB |" in text


@pytest.mark.no_cover
def test_dask_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that returns all contacts has a time and a row; one that does not is an error."""
    monkeypatch.setenv("BURKI_API_KEY", "any")
    with served(Sandbox(3_000)) as url:
        found = {
            (name, 0): [dask_workers.measured(way, url, 3_000)]
            for name, way in ((dask_workers.PLAIN, dask_workers.plain), ("Dask", dask_workers.here))
        }
        with pytest.raises(SystemExit, match="3,000 contacts came instead of 2,999"):
            dask_workers.measured(dask_workers.plain, url, 2_999)
    text = dask_workers.document(found, 3_000, ", any")
    assert "| `to_pandas()`, without Dask |" in text
    assert "| Dask |" in text


@pytest.mark.parametrize("script", ["pulls.py", "moving.py", "tables.py", "fleet.py"])
def test_quick_figures_do_not_replace_results(script: str) -> None:
    """`--quick` is refused without `--out`, because it would overwrite the results."""
    command = [sys.executable, str(HERE / script), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_a_revision_is_compared(tmp_path: Path) -> None:
    """The sources of a revision are extracted, and the table shows ratios and problems."""
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
