"""Measure whole pulls: aioburki beside what people write by hand, and write table and chart.

Run it with ``python benchmarks/pulls.py``, on Linux. A server in another process answers from
memory; all clients take turns, each pull in a fresh process, five rounds. What a client
returns is compared with the server's ids before its time counts. ``pulls.md`` and
``pulls.svg`` go to ``benchmarks/results``, or to the folder that ``--out`` names.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from processes import HERE, MeasuringError, decoded, imported, serving
from record import Record
from scenarios import ALL, CLIENTS, PULLS, Scenario
from table import table
from turns import Entrant, run


def decode(rounds: int, record: Record) -> None:
    """Compare the ways to decode a page."""
    page = replace(PULLS[0], pages=1)
    with serving(page.total, [page]) as urls:
        for number in range(rounds):
            try:
                times = decoded(urls[page.way], page.per_page)
            except MeasuringError as error:
                record.add_problem("decode", "struct", str(error))
                return
            for name, microseconds in times.items():
                record.add("decode", name, number, {"wall": microseconds})


def import_it(rounds: int, record: Record) -> None:
    """Measure the import, once to warm up and then *rounds* times."""
    for how in ("installed", "plain"):
        imported(how)
    for number in range(rounds):
        for how in ("installed", "plain"):
            record.add("import", how, number, imported(how))


def quick(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Return the same scenarios with a fiftieth of the pages."""
    return [replace(each, pages=each.pages // 50) for each in scenarios]


def write(record: Record, facts: Sequence[str], folder: Path) -> None:
    """Write table and chart."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pulls.md").write_text(table(record, facts), encoding="utf-8")
    if record.figure("near", "expert", "wall") is None:
        print("no chart: the expert's pull, which it compares with, is missing", file=sys.stderr)
        return
    from chart import chart  # noqa: PLC0415 - the table is to be had without matplotlib

    (folder / "pulls.svg").write_text(chart(record), encoding="utf-8")


def main() -> None:
    """Measure, then write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where to write")
    parser.add_argument(
        "--quick", action="store_true", help="try all once with a fiftieth of the pages"
    )
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    options = parser.parse_args()
    if options.quick and options.out == parser.get_default("out"):
        parser.error("--quick measures nothing that lasts: name another folder with --out")
    rounds = 1 if options.quick else options.rounds
    record, start = Record(), time.monotonic()
    import_it(2 * rounds, record)
    decode(rounds, record)
    entrants = {name: Entrant(CLIENTS[name]) for name in options.clients}
    run(quick(ALL) if options.quick else ALL, entrants, rounds, record)
    minutes = (time.monotonic() - start) / 60
    facts = [f"rounds: {rounds}", f"minutes: {minutes:.0f}"]
    if options.quick:
        facts.append("**only a fiftieth of the pages: a trial of the benchmarks, no result**")
    write(record, facts, options.out)


if __name__ == "__main__":
    main()
