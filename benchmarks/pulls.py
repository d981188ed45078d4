"""Measure whole pulls of aioburki and of other clients, and write a table and a chart.

Run it with ``python benchmarks/pulls.py``, on Linux. A server in another process responds from
memory. The clients take turns for five rounds, each pull in a new process. The contacts that a
client returns are compared with those of the server before its time counts. ``pulls.md`` and
``pulls.svg`` are written to ``benchmarks/results``, or to the folder given by ``--out``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from processes import HERE, MeasuringError, measure_decoding, measure_import, run_server
from record import Record
from scenarios import ALL, CLIENTS, PULLS, Scenario
from table import table
from turns import ClientVersion, run


def record_decoding(rounds: int, record: Record) -> None:
    """Measure each decoder on one page."""
    page = replace(PULLS[0], pages=1)
    with run_server(page.total, [page]) as urls:
        for number in range(rounds):
            try:
                times = measure_decoding(urls[page.server_mode], page.per_page)
            except MeasuringError as error:
                record.add_problem("decode", "struct", str(error))
                return
            for name, microseconds in times.items():
                record.add("decode", name, number, {"wall": microseconds})


def record_import(rounds: int, record: Record) -> None:
    """Measure the import *rounds* times, after one import that fills the caches."""
    for how in ("installed", "plain"):
        measure_import(how)
    for number in range(rounds):
        for how in ("installed", "plain"):
            record.add("import", how, number, measure_import(how))


def quick(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Return *scenarios* with a fiftieth of the pages."""
    return [replace(each, pages=each.pages // 50) for each in scenarios]


def write(record: Record, facts: Sequence[str], folder: Path) -> None:
    """Write the table and the chart."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pulls.md").write_text(table(record, facts), encoding="utf-8")
    if record.figure("near", "expert", "wall") is None:
        print("no chart: it needs the pull of the client `expert`", file=sys.stderr)
        return
    from chart import chart  # noqa: PLC0415 - the table does not need matplotlib

    (folder / "pulls.svg").write_text(chart(record), encoding="utf-8")


def main() -> None:
    """Measure everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where to write")
    parser.add_argument(
        "--quick", action="store_true", help="run one round with a fiftieth of the pages"
    )
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    options = parser.parse_args()
    if options.quick and options.out == parser.get_default("out"):
        parser.error("--quick would overwrite the results: name another folder with --out")
    rounds = 1 if options.quick else options.rounds
    record, start = Record(), time.monotonic()
    record_import(2 * rounds, record)
    record_decoding(rounds, record)
    versions = {name: ClientVersion(CLIENTS[name]) for name in options.clients}
    run(quick(ALL) if options.quick else ALL, versions, rounds, record)
    minutes = (time.monotonic() - start) / 60
    facts = [f"rounds: {rounds}", f"minutes: {minutes:.0f}"]
    if options.quick:
        facts.append("**only a fiftieth of the pages: not a result**")
    write(record, facts, options.out)


if __name__ == "__main__":
    main()
