"""Count the contacts that pulls of a moving list lose, and the requests that they send.

Run it with ``python benchmarks/moving.py``; it writes ``results/moving.md`` and, where matplotlib
is there, ``results/moving.svg``; ``--quick --out FOLDER`` only tries it. The client pulls 30,000
contacts in pages of 1,000, 8 requests in flight, from the sandbox in process, on a virtual clock;
responses take 50 … 150 ms. Each way of reading has the same list, the same moves per request and
the same seeds. A contact is lost if it was in the list at every request and was not delivered.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import attrs
import httpx

from aioburki import BurkiClient, PullReport
from aioburki.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from virtual_clock import VirtualLoop

RESULTS = Path(__file__).parent / "results"
CONTACTS = 30_000
PER_PAGE = 1_000
IN_FLIGHT = 8
SEEDS = range(5)


@attrs.frozen
class Kind:
    """A list that moves in some way."""

    name: str
    drift: Mapping[str, float]
    order: Literal["id", "-id", "touched", "ties"] = "id"
    id_gaps: bool = False


KINDS = (
    Kind("nothing moves", {}),
    Kind("nothing moves, ids with gaps", {}, id_gaps=True),
    Kind("4 leave the filter per request", {"leave": 4}),
    Kind("20 leave the filter per request", {"leave": 20}),
    Kind("5 deleted per request", {"delete": 5}),
    Kind("5 deleted per request, ids with gaps", {"delete": 5}, id_gaps=True),
    Kind("one out, one in", {"delete": 4, "append": 4}),
    Kind("in and out of the filter", {"in_out": 8}),
    Kind("25 appended per request", {"append": 25}),
    Kind("newest first, 5 imported per request", {"import": 5}, "-id"),
    Kind("newest first, 5 deleted per request", {"delete": 5}, "-id"),
    Kind("last changed first, one changes per request", {"touch": 1}, "touched"),
    Kind("sorted by a time that contacts share", {}, "ties"),
)


@attrs.frozen
class Outcome:
    """What came of one way of reading one list.

    Attributes:
        lost: lasting contacts that were not delivered; of several pulls the median.
        most_lost: of several pulls the most.
        requests: requests sent.
        complete: how many of the pulls said that they were complete.
    """

    lost: int
    most_lost: int
    requests: int
    complete: int


class MovingList(httpx.AsyncBaseTransport):
    """The transport of a sandbox with other latencies, which knows the lasting contacts."""

    def __init__(self, kind: Kind, contacts: int, seed: int) -> None:
        self._sandbox = Sandbox(
            contacts, seed=seed, order=kind.order, id_gaps=kind.id_gaps, drift=kind.drift
        )
        self._transport = self._sandbox.transport
        self._draw = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.lasting = set(self._sandbox.ids())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response, after a while."""
        await asyncio.sleep(self._draw.uniform(0.05, 0.15))
        response = await self._transport.handle_async_request(request)
        self.lasting.intersection_update(self._sandbox.ids())
        return response


Read = Callable[[BurkiClient, int], Awaitable[tuple[set[int], list[PullReport]]]]


async def sweep(
    burki: BurkiClient, per_page: int, *, times: int, complete: bool
) -> tuple[set[int], list[PullReport]]:
    """Return the ids of so many pulls, together, and their reports."""
    ids: set[int] = set()
    reports: list[PullReport] = []
    for _ in range(times):
        contacts = await burki.contacts(42, per_page=per_page, complete=complete)
        ids.update(contact.id for contact in contacts)
        reports.append(contacts.report)
    return ids, reports


WAYS: Mapping[str, Read] = {
    "plain": partial(sweep, times=1, complete=False),
    "two plain pulls, united": partial(sweep, times=2, complete=False),
    "complete": partial(sweep, times=1, complete=True),
}


async def outcome(kind: Kind, way: str, contacts: int, per_page: int, seed: int) -> Outcome:
    """Return what comes of reading a list of this kind."""
    moving = MovingList(kind, contacts, seed)
    async with BurkiClient("any", transport=moving, concurrency=IN_FLIGHT) as burki:
        ids, reports = await WAYS[way](burki, per_page)
    lost = len(moving.lasting - ids)
    return Outcome(
        lost=lost,
        most_lost=lost,
        requests=sum(report.requests for report in reports),
        complete=all(report.complete for report in reports),
    )


def median(
    kind: Kind, way: str, contacts: int = CONTACTS, per_page: int = PER_PAGE, seeds: int = 5
) -> Outcome:
    """Return the medians over some seeds; `complete` is the number of seeds."""
    logging.disable(logging.WARNING)
    outcomes: list[Outcome] = []
    for seed in range(seeds):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            outcomes.append(runner.run(outcome(kind, way, contacts, per_page, seed)))
    return Outcome(
        lost=round(statistics.median(each.lost for each in outcomes)),
        most_lost=max(each.lost for each in outcomes),
        requests=round(statistics.median(each.requests for each in outcomes)),
        complete=sum(each.complete for each in outcomes),
    )


Outcomes = Mapping[str, Mapping[str, Outcome]]


def table(outcomes: Outcomes, seeds: int) -> str:
    """Return a Markdown table of contacts lost and requests sent."""
    lines = [
        f"| list | {' | '.join(f'{way}: lost | requests' for way in WAYS)} | proved complete |",
        f"|---|{'---:|' * (2 * len(WAYS) + 1)}",
    ]
    for name, by_way in outcomes.items():
        cells = [
            f"{each.lost:,} ({each.most_lost:,}) | {each.requests:,}" for each in by_way.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {by_way['complete'].complete} of {seeds} |")
    return "\n".join(lines)


def document(
    outcomes: Outcomes, seeds: int, contacts: int = CONTACTS, per_page: int = PER_PAGE
) -> str:
    """Return the table with what it shows."""
    return f"""# Pulls of a list that moves

{contacts:,} contacts in pages of {per_page:,}, {IN_FLIGHT} requests in flight, from the sandbox
in process on a virtual clock. Lost: the median of {seeds} seeds, in brackets the most. Requests:
the median. Written by `benchmarks/moving.py`.

A contact is lost if it was in the list at every request and was not delivered. A list moves with
each request, so a way that sends more requests sees more moves.

{table(outcomes, seeds)}
"""


def main(arguments: list[str]) -> None:
    """Measure, print the table and write the files."""
    parser = argparse.ArgumentParser(description="contacts that pulls of a moving list lose")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="seeds for each median")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--quick", action="store_true", help="a tenth of the contacts, one seed")
    options = parser.parse_args(arguments)
    if options.quick and options.out == RESULTS:
        parser.error("--quick needs --out: its figures are no result")
    seeds = 1 if options.quick else options.seeds
    contacts, per_page = (each // (10 if options.quick else 1) for each in (CONTACTS, PER_PAGE))
    cells = [(kind, way) for kind in KINDS for way in WAYS]
    outcomes: dict[str, dict[str, Outcome]] = {}
    with ProcessPoolExecutor(2) as executor:
        measure = partial(median, contacts=contacts, per_page=per_page, seeds=seeds)
        found = executor.map(measure, *zip(*cells, strict=True))
        for (kind, way), each in zip(cells, found, strict=True):
            outcomes.setdefault(kind.name, {})[way] = each
            print(f"{kind.name}, {way}: {each}", file=sys.stderr)
    print(table(outcomes, seeds))
    text = document(outcomes, seeds, contacts, per_page)
    (options.out / "moving.md").write_text(text, encoding="utf-8")
    try:
        from moving_chart import chart  # noqa: PLC0415 - matplotlib may be missing
    except ModuleNotFoundError:
        print("matplotlib is missing, so moving.svg was not written", file=sys.stderr)
        return
    (options.out / "moving.svg").write_text(chart(outcomes, seeds), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
