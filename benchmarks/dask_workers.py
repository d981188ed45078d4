"""Measure `aioburki.dask.read_contacts` with one and with two workers, beside a plain pull.

Run it with ``python benchmarks/dask_workers.py``; it writes ``results/dask.md``; ``--quick --out
FOLDER`` only tries it. A server in another process responds from memory, at once or after 200 ms.
The ways take turns; each counts the contacts, and the count is compared with the size of the list
before its time counts. The workers are processes of one thread, which have run before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import dask
from distributed import Client, LocalCluster
from processes import HERE, run_server
from scenarios import Scenario

from aioburki import BurkiClient
from aioburki.dask import read_contacts

CONTACTS = 400_000
PARTITIONS = 4
LATENCIES = (0, 200)  # milliseconds
IN_FLIGHT = 8
PLAIN = "`to_pandas()`, without Dask"

Way = Callable[[str, int], int]


def plain(url: str, _total: int) -> int:
    """Pull with one client in this process, and return the number of contacts."""

    async def pull() -> Any:
        async with BurkiClient(base_url=url, concurrency=IN_FLIGHT) as burki:
            return await burki.contacts(42).to_pandas()

    return int(asyncio.run(pull())["id"].count())


def with_dask(url: str, total: int) -> int:
    """Pull with the scheduler that is set, and return the number of contacts."""
    read: Any = read_contacts  # its frames have no types
    size = -(-total // PARTITIONS)
    frame = read(42, base_url=url, concurrency=IN_FLIGHT, contacts_per_partition=size)
    return int(frame["id"].count().compute())


def on(client: Any) -> Way:
    """Return `with_dask` on the workers of a cluster."""

    def way(url: str, total: int) -> int:
        with client.as_current(), dask.config.set(scheduler=client):
            return with_dask(url, total)

    return way


def here(url: str, total: int) -> int:
    """Pull with Dask in this thread, one partition after the other."""
    with dask.config.set(scheduler="sync"):
        return with_dask(url, total)


@contextmanager
def workers(number: int) -> Iterator[Any]:
    """Start a cluster of worker processes; yield its client."""
    start_cluster: Any = LocalCluster
    start_client: Any = Client
    options = {"n_workers": number, "threads_per_worker": 1, "dashboard_address": ":0"}
    with start_cluster(**options) as cluster, start_client(cluster, set_as_default=False) as client:
        yield client


def measured(way: Way, url: str, total: int) -> float:
    """Return the seconds that a way takes."""
    began = time.perf_counter()
    count = way(url, total)
    seconds = time.perf_counter() - began
    if count != total:
        raise SystemExit(f"{count:,} contacts came instead of {total:,}")
    return seconds


def measure(
    total: int, rounds: int, latencies: tuple[int, ...]
) -> dict[tuple[str, int], list[float]]:
    """Return the seconds of each way and latency, by round."""
    scenarios = [
        Scenario("dask", total // 1000, 1000, latency, IN_FLIGHT, ()) for latency in latencies
    ]
    found: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        urls = stack.enter_context(run_server(total, scenarios))
        ways: dict[str, Way] = {PLAIN: plain, "Dask in this thread": here}
        for number, name in ((1, "Dask, one worker"), (2, "Dask, two workers")):
            ways[name] = on(stack.enter_context(workers(number)))
        fast = urls[scenarios[0].server_mode]
        for way in ways.values():
            way(fast, total)  # imports what it needs
        for _ in range(rounds):
            for scenario in scenarios:
                for name, way in ways.items():
                    seconds = measured(way, urls[scenario.server_mode], total)
                    found.setdefault((name, scenario.latency), []).append(seconds)
    return found


def document(found: dict[tuple[str, int], list[float]], total: int, note: str) -> str:
    """Return the text of ``dask.md``."""
    names = dict.fromkeys(name for name, _ in found)
    latencies = dict.fromkeys(latency for _, latency in found)
    heads = [f"at {latency} ms: contacts per second | × plain" for latency in latencies]
    lines = [f"|  | {' | '.join(heads)} |", f"| --- |{' ---: |' * 2 * len(latencies)}"]
    for name in names:
        cells = [name]
        for latency in latencies:
            seconds, beside = found[name, latency], found[PLAIN, latency]
            speeds = sorted(total / each for each in seconds)
            ratio = median(one / other for one, other in zip(beside, seconds, strict=True))
            cells.append(f"{median(speeds):,.0f} ({speeds[0]:,.0f} … {speeds[-1]:,.0f})")
            cells.append(f"{ratio:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    rounds = len(next(iter(found.values())))
    table = "\n".join(lines)
    return f"""# Dask

Measured on {datetime.now(UTC):%Y-%m-%d} with `python benchmarks/dask_workers.py` on
{os.cpu_count()} shared cores, of which the server takes a part,
CPython {platform.python_version()}, dask {version("dask")}, pandas {version("pandas")};
rounds: {rounds}{note}.
{total:,} contacts, of which the workers return the count; {PARTITIONS} partitions, {IN_FLIGHT}
requests in flight for each client; with division, the start of each task's client and scheduling.
Medians, with the minimum and maximum of the rounds in brackets.

{table}
"""


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where to write")
    parser.add_argument(
        "--quick", action="store_true", help="one round, a hundredth of the contacts"
    )
    options = parser.parse_args()
    if options.quick and options.out == parser.get_default("out"):
        parser.error("--quick would overwrite the results: name another folder with --out")
    os.environ.setdefault("BURKI_API_KEY", "any")
    total, rounds = (CONTACTS // 100, 1) if options.quick else (CONTACTS, options.rounds)
    note = ", **only a hundredth of the contacts: not a result**" if options.quick else ""
    latencies = LATENCIES[:1] if options.quick else LATENCIES
    text = document(measure(total, rounds, latencies), total, note)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dask.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
