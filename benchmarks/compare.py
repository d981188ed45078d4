"""Compare the working tree with a git revision: whole pulls with both, in turns.

Run it with ``python benchmarks/compare.py REVISION``, such as ``HEAD`` or ``main``. A ratio above
1 means that the working tree needs more time, CPU or memory than the revision.
"""

from __future__ import annotations

import argparse
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import HERE, SOURCE
from record import Record
from scenarios import CLIENTS, LAG, OURS, PULLS, Scenario
from turns import ClientVersion, run

SIDES = ("tree", "revision")
FIGURES = {"wall": "seconds", "cpu": "CPU", "memory": "memory", "lag_p99": "lag p99"}


def unpack(repository: Path, revision: str, folder: Path) -> Path:
    """Extract the ``src`` of a revision into *folder* and return its path."""
    archive = subprocess.run(
        ["git", "-C", str(repository), "archive", revision, "src"],  # noqa: S607 - whichever git is installed
        stdout=subprocess.PIPE,
        check=True,
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


def table(scenarios: Sequence[Scenario], revision: str, record: Record) -> str:
    """Return a table of the ratios of working tree to revision, with their range over rounds."""
    lines = [
        f"| working tree, × {revision} | {' | '.join(FIGURES.values())} |",
        f"|---|{'---:|' * len(FIGURES)}",
    ]
    for scenario in scenarios:
        for client in OURS:
            problems = [
                f"{side}: {problem}"
                for side in SIDES
                if (problem := record.problems.get((scenario.name, f"{client} {side}")))
            ]
            cells = ["; ".join(problems)] if problems else _cells(scenario, client, record)
            cells += [""] * (len(FIGURES) - len(cells))
            lag = ", with lag measured" if scenario.heartbeat else ""
            what = f"{CLIENTS[client].short}, {scenario.title}{lag}"
            lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(scenario: Scenario, client: str, record: Record) -> list[str]:
    tree, revision = ((scenario.name, f"{client} {side}") for side in SIDES)
    ratios = (record.ratio(tree, revision, figure) for figure in FIGURES)
    return [
        f"{each.value:.2f} ({each.low:.2f} … {each.high:.2f})" if each else "" for each in ratios
    ]


def main() -> None:
    """Compare and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = tuple(f"{client} {side}" for client in OURS for side in SIDES)
    scenarios = [replace(each, clients=names) for each in (*PULLS, *LAG)]
    record = Record()
    with TemporaryDirectory() as folder:
        sources = {"tree": SOURCE, "revision": unpack(HERE.parent, options.revision, Path(folder))}
        versions = {
            f"{client} {side}": ClientVersion(CLIENTS[client], source)
            for client in OURS
            for side, source in sources.items()
        }
        run(scenarios, versions, options.rounds, record)
    print(table(scenarios, options.revision, record))


if __name__ == "__main__":
    main()
