"""Measure pulls into tables, of aioburki and of what is written by hand, and a Parquet export.

Run it with ``python benchmarks/tables.py``, on Linux. A server in another process responds from
memory. The clients take turns for five rounds, each pull in a new process, and the ids in their
tables are compared with those of the server before their time counts. ``tables.md`` is written to
``benchmarks/results``, or to the folder given by ``--out``.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path

from goals import Goal, median, speed_ratio
from processes import HERE
from record import Figure, Record
from scenarios import Client, Scenario
from turns import ClientVersion, run

CLIENTS = {
    client.name: client
    for client in (
        Client("peers.table_aioburki", "**aioburki**, `to_arrow()`", "to_arrow"),
        Client("peers.table_aioburki_flat", "**aioburki**, `to_arrow(flatten=True)`", "flat"),
        Client(
            "peers.table_aioburki_objects",
            "aioburki, objects first: `(await …).to_arrow()`",
            "objects",
        ),
        Client(
            "peers.table_aioburki_dicts",
            "aioburki, dicts first: `pa.Table.from_pylist(to_dict(await …))`",
            "dicts",
        ),
        Client("peers.table_aioburki_parquet", "**aioburki**, `export_parquet`", "Parquet"),
        Client(
            "peers.table_aioburki_parquet_flat",
            "**aioburki**, `export_parquet(flatten=True)`",
            "Parquet, flat",
        ),
        Client(
            "peers.table_expert", "by hand: aiohttp + msgspec structs + pyarrow columns", "by hand"
        ),
        Client("peers.table_polars", "aiohttp + `response.json()` + `pl.DataFrame`", "polars"),
        Client(
            "peers.table_json_normalize",
            "aiohttp + `response.json()` + `pd.json_normalize`",
            "json_normalize",
        ),
    )
}
STRAIGHT, PARQUET = "table_aioburki", "table_aioburki_parquet"
OBJECTS, DICTS = "table_aioburki_objects", "table_aioburki_dicts"
EXPERT = "table_expert"

TABLES = Scenario("tables", 200, 1000, 0, 8, tuple(CLIENTS))
FILES = tuple(
    Scenario(f"files-{pages}", pages, 1000, 0, 8, (PARQUET, f"{PARQUET}_flat"), rounds=1)
    for pages in (1000, 100)
)
ALL = (TABLES, *FILES)

GOALS = (
    Goal(
        "200,000 contacts, `to_arrow()`: speed, × by way of objects", 1.5, "×",
        speed_ratio(TABLES.name, STRAIGHT, OBJECTS), at_least=True,
    ),
    Goal(
        "The same: speed, × by way of objects and dicts, as before there was `to_arrow`", 1.5, "×",
        speed_ratio(TABLES.name, STRAIGHT, DICTS), at_least=True,
    ),
    Goal(
        "The same: peak memory, × by way of objects", 0.5, "×",
        lambda record: record.ratio((TABLES.name, STRAIGHT), (TABLES.name, OBJECTS), "memory"),
    ),
    Goal(
        "1,000,000 contacts to Parquet: peak memory above the idle client", 150, "MiB",
        median(FILES[0].name, PARQUET, "memory"), worst_round=True,
    ),
)  # fmt: skip


def document(record: Record, rounds: int, note: str) -> str:
    """Return the text of ``tables.md``."""
    packages = ("pyarrow", "pandas", "polars", "msgspec", "aiohttp")
    found = {package.metadata["Name"] for package in distributions()}
    versions = ", ".join(f"{name} {version(name)}" for name in packages if name in found)
    return f"""# Tables

Measured on {datetime.now(UTC):%Y-%m-%d} with `python benchmarks/tables.py` on {os.cpu_count()}
shared cores, CPython {platform.python_version()}, {versions};
rounds: {rounds}{note}. Medians, with the minimum and maximum of the rounds in brackets; each pull
in a new process, over loopback, {TABLES.title}.
Memory is the peak above the process with the idle client:
what is imported before the pull is not in it. Only `export_parquet` imports pyarrow during the
pull, and with it pandas, which pyarrow imports where it is installed: some 100 MiB and half a
second.

{_table(("", "seconds", "speed, × by hand", "CPU, s", "memory, MiB"), _pulls(record))}

## Parquet files

{_table(("", "memory above the idle client, MiB", "seconds"), _files(record))}

## Goals

{_table(("goal", "bound", "reached", ""), _goals(record))}
"""


def _pulls(record: Record) -> Iterator[list[str]]:
    for name in TABLES.clients:
        key = (TABLES.name, name)
        if key in record.problems:
            yield [CLIENTS[name].label, record.problems[key], "", "", ""]
        elif record.figure(*key, "wall") is not None:
            yield [
                CLIENTS[name].label,
                _number(record.figure(*key, "wall"), 2),
                _number(record.ratio((TABLES.name, EXPERT), key, "wall"), 2),
                _number(record.figure(*key, "cpu"), 2),
                _number(record.figure(*key, "memory"), 0),
            ]


def _files(record: Record) -> Iterator[list[str]]:
    for scenario in FILES:
        for name in scenario.clients:
            key = (scenario.name, name)
            yield [
                f"{scenario.total:,} contacts, {CLIENTS[name].label}",
                record.problems.get(key) or _number(record.figure(*key, "memory"), 0),
                _number(record.figure(*key, "wall"), 2),
            ]


def _goals(record: Record) -> Iterator[list[str]]:
    for goal in GOALS:
        reached = goal.reached(record)
        shown = "" if reached is None else f"{reached:,.2f} {goal.unit}"
        sign = "≥" if goal.at_least else "≤"
        yield [goal.text, f"{sign} {goal.bound:g} {goal.unit}", shown, goal.verdict(record)]


def _table(head: tuple[str, ...], rows: Iterator[list[str]]) -> str:
    lines = [list(head), ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _number(figure: Figure | None, places: int) -> str:
    if figure is None:
        return ""
    return f"{figure.value:,.{places}f} ({figure.low:,.{places}f} … {figure.high:,.{places}f})"


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where to write")
    parser.add_argument("--quick", action="store_true", help="one round, a fiftieth of the pages")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    options = parser.parse_args()
    if options.quick and options.out == parser.get_default("out"):
        parser.error("--quick would overwrite the results: name another folder with --out")
    rounds = 1 if options.quick else options.rounds
    scenarios = [replace(each, pages=each.pages // 50) for each in ALL] if options.quick else ALL
    record = Record()
    versions = {name: ClientVersion(CLIENTS[name]) for name in options.clients}
    run(scenarios, versions, rounds, record)
    note = ", **only a fiftieth of the pages: not a result**" if options.quick else ""
    options.out.mkdir(parents=True, exist_ok=True)
    text = document(record, rounds, note)
    (options.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
