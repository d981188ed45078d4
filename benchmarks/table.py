"""Table: the measured figures in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from goals import GOALS, Goal
from record import Figure, Record
from scenarios import CLIENTS, FAULTS, IN_FLIGHT, MEMORY, PULLS, Scenario

PACKAGES = (
    "httpx", "httpcore", "msgspec", "cattrs", "attrs", "anyio",
    "aiohttp", "requests", "dlt", "burki",
)  # fmt: skip
NONE = "\N{EN DASH}"


def table(record: Record, facts: Sequence[str]) -> str:
    """Return the text of ``results/pulls.md``."""
    parts = [
        "# Speed",
        _measured_on(facts),
        "## Speed of whole pulls, × expert",
        _speeds(record),
        "## Goals",
        _goals(record),
        "## Pulls",
        _explanation(),
        *(part for scenario in PULLS for part in _pull(record, scenario)),
        "## Memory of a streamed pull",
        _memory(record),
        "## Requests in flight",
        _in_flight(record),
        "## Decoding, import and construction",
        _decoding_and_import(record),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _measured_on(facts: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `python benchmarks/pulls.py` on {_cpu()}, "
        f"{platform.system()} {platform.release().split('-')[0]}, "
        f"{platform.python_implementation()} {platform.python_version()}; "
        f"{', '.join(facts)}; {versions}.\n"
        "A server in another process on the same machine responds from memory, with HTTP/1.1 and "
        "without TLS or compression, about 300 bytes per contact. The clients take turns; each "
        "pull runs in a new process. Figures are medians, with the minimum and maximum of the "
        "rounds in brackets. Only the ratios are meaningful on other machines."
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0] if names else platform.machine()}"


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    lines = [titles, ["---", *("---:" if title else "---" for title in titles[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _speeds(record: Record) -> str:
    """Return the table that compares all clients in all scenarios."""

    def rows() -> Iterator[list[str]]:
        for name, client in CLIENTS.items():
            cells = [_cell(record, scenario, name) for scenario in PULLS]
            if any(cell != NONE for cell in cells):
                yield [client.label, *cells]

    return _rows(["", *(scenario.title for scenario in PULLS)], rows())


def _cell(record: Record, scenario: Scenario, client: str) -> str:
    if problem := record.problems.get((scenario.name, client)):
        return problem
    speed = record.ratio((scenario.name, "expert"), (scenario.name, client), "wall")
    return _number(speed, 2, spread=client != "expert")


def _goals(record: Record) -> str:
    missed = sum(goal.verdict(record) == "missed" for goal in GOALS)
    rows = (
        [goal.text, _bound(goal), _reached(goal, record), _marked(goal.verdict(record))]
        for goal in GOALS
    )
    count = f"{len(GOALS)} goals, {missed} missed."
    return f"{count}\n\n" + _rows(("goal", "bound", "reached", ""), rows)


def _bound(goal: Goal) -> str:
    return f"{'≥' if goal.at_least else '≤'} {goal.bound:g} {goal.unit}".strip()


def _reached(goal: Goal, record: Record) -> str:
    figure, reached = goal.figure(record), goal.reached(record)
    if figure is None or reached is None:
        return NONE
    places = 2 if goal.unit == "×" else 0 if not goal.unit else 1
    return f"{reached:,.{places}f} ({figure.low:,.{places}f} … {figure.high:,.{places}f})"


def _marked(verdict: str) -> str:
    return "**missed**" if verdict == "missed" else verdict


def _explanation() -> str:
    return (
        "Seconds are measured from the first request to the last contact, with connecting but "
        "without importing and constructing the client. CPU and memory are those of the client's "
        "process; memory is the peak above the idle client. Lag is how much too late a task wakes "
        "that sleeps for 1 ms over and over, measured in separate pulls: the 99th percentile, and "
        "the maximum of all rounds. Streamed contacts are not kept; hashing their ids is part of "
        "the time. `expert by hand, gc disabled` disables the garbage collector of the whole "
        "process during the pull; structs with `gc=False` gain as much."
    )


def _pull(record: Record, scenario: Scenario) -> Iterator[str]:
    yield f"### {scenario.title[0].upper()}{scenario.title[1:]}"

    def rows() -> Iterator[list[str]]:
        for name in scenario.clients:
            label, key = CLIENTS[name].label, (scenario.name, name)
            if key in record.problems:
                yield [label, record.problems[key], *[NONE] * 5]
            elif record.figure(*key, "wall") is not None:
                yield [label, *_figures(record, scenario, name)]

    head = ("", "seconds", "speed, × expert", "CPU, s", "memory, MiB", "lag p99, ms", "max lag, ms")
    yield _rows(head, rows())


def _figures(record: Record, scenario: Scenario, name: str) -> list[str]:
    key, lag = (scenario.name, name), f"lag-{scenario.name}"
    maximum = record.figure(lag, name, "lag_max")
    return [
        _number(record.figure(*key, "wall"), 2, spread=False),
        _cell(record, scenario, name),
        _number(record.figure(*key, "cpu"), 2, spread=False),
        _number(record.figure(*key, "memory"), 0, spread=False),
        _number(record.figure(lag, name, "lag_p99"), 1, spread=False),
        f"{maximum.high:.1f}" if maximum else NONE,
    ]


def _memory(record: Record) -> str:
    client = "aioburki_streamed"
    rows = (
        [
            f"{scenario.total:,} contacts",
            _number(record.figure(scenario.name, client, "memory"), 1),
            _number(record.figure(scenario.name, client, "wall"), 2),
        ]
        for scenario in MEMORY
    )
    return _rows(("", "memory above the idle client, MiB", "seconds"), rows)


def _in_flight(record: Record) -> str:
    def rows() -> Iterator[list[str]]:
        for scenario in (*IN_FLIGHT, *FAULTS):
            for name in scenario.clients:
                key = (scenario.name, name)
                wall = record.figure(*key, "wall")
                cpu = record.figure(*key, "cpu")
                requests = record.figure(*key, "requests")
                if wall is None or cpu is None or requests is None:
                    continue
                yield [
                    f"{CLIENTS[name].label}, {scenario.title}",
                    f"{requests.value / wall.value:,.0f}",
                    f"{cpu.value / requests.value * 1000:.2f}",
                    _number(record.figure(*key, "connections"), 0, spread=False),
                    _number(record.figure(*key, "faults"), 0, spread=False),
                ]

    head = ("", "requests per second", "CPU per request, ms", "connections", "faults")
    return _rows(head, rows())


def _decoding_and_import(record: Record) -> str:
    figures = (
        ("CPU µs per contact: msgspec to structs", ("decode", "struct", "wall")),
        ("CPU µs per contact: msgspec to attrs classes, no `extra`", ("decode", "attrs", "wall")),
        ("CPU µs per contact: aioburki to attrs classes", ("decode", "aioburki", "wall")),
        ("`import aioburki` without extras, ms", ("import", "plain", "import")),
        ("`import aioburki` with `[all]`, ms", ("import", "installed", "import")),
        ("First `BurkiClient(…)`, ms", ("import", "installed", "construct")),
    )
    rows = ([what, _number(record.figure(*key), 2)] for what, key in figures)
    return (
        _rows(("", "median"), rows) + "\n\nThe extras install click, Pygments and rich. If these "
        "are installed, httpx imports its own command line, which imports them."
    )


def _number(figure: Figure | None, places: int, *, spread: bool = True) -> str:
    if figure is None:
        return NONE
    value = f"{figure.value:,.{places}f}"
    return f"{value} ({figure.low:,.{places}f} … {figure.high:,.{places}f})" if spread else value
