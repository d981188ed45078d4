"""Compare the working tree with a git revision: whole pulls of both, taking turns.

Run it with ``python benchmarks/compare.py REVISION``, such as ``HEAD`` or ``main``. Ratios above
1 say that the working tree needs more.
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
from turns import Entrant, run

SIDES = ("tree", "revision")
FIGURES = {"wall": "seconds", "cpu": "CPU", "memory": "memory", "late_99": "late, 99 of 100"}


def unpack(repository: Path, revision: str, folder: Path) -> Path:
    """Put the ``src`` of a revision below *folder* and return its place."""
    archive = subprocess.run(
        ["git", "-C", str(repository), "archive", revision, "src"],  # noqa: S607 - any git
        stdout=subprocess.PIPE,
        check=True,
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


def table(scenarios: Sequence[Scenario], revision: str, record: Record) -> str:
    """Return the ratios, the working tree over the revision, with least and most of rounds."""
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
            beat = ", with a heartbeat" if scenario.heartbeat else ""
            what = f"{CLIENTS[client].short}, {scenario.title}{beat}"
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
        entrants = {
            f"{client} {side}": Entrant(CLIENTS[client], source)
            for client in OURS
            for side, source in sources.items()
        }
        run(scenarios, entrants, options.rounds, record)
    print(table(scenarios, options.revision, record))


if __name__ == "__main__":
    main()
