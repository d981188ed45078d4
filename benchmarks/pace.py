"""Show how well a limit that the client does not know is kept, beside other controllers.

Run it with ``python benchmarks/pace.py``; it takes about a minute, on a virtual clock. Each cell:
share of the limit used in 60 s (above 100 % is the burst), share of requests answered 429, most
429s of one page. ``--quick`` runs a few of the shapes, ``--in-flight N`` all of them with so many
requests in flight. ``--set NAME=VALUE`` gives a constant of `RateEstimatorConfig` another value:
that is how the figures in its docstring were measured. ``--latencies SEEDS`` prints another table:
pages of three latencies, refusals that come at once or as late as a page; share used in 60 s of
what is possible (the limit, or in flight / page time), burst 10. With ``--nginx`` a third table
follows: limits of nginx, over real HTTP, for a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs

from aioburki._requests.retry_policy import pause_without_retry_after
from aioburki._throttle.pacer import Pacer
from aioburki._throttle.rate_estimator import RateEstimator
from aioburki._throttle.rate_estimator_config import RateEstimatorConfig
from aioburki._throttle.server_quota import QuotaHeaders

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from limiters import (
    Adaptive,
    Bucket,
    Controller,
    FixedWindow,
    Limiter,
    RetryAfter,
    SlidingLog,
    absent,
    as_date,
    crowd,
    draws,
    in_seconds,
    wait_for_quota,
)
from nginx_pace import print_shapes
from virtual_clock import VirtualLoop

SECONDS = 60.0
MIN_IN_FLIGHT = 8  # the client's default


def adaptive(config: RateEstimatorConfig) -> Adaptive:
    """Return aioburki's own pacer and retry policy."""
    draw = draws()
    pacer = Pacer(None, quota_wait=wait_for_quota, estimator=RateEstimator(config), draw=draw)
    return Adaptive(draw=draw, pacer=pacer)


def oracle(rate: float) -> Adaptive:
    """Return the same, with the limit as `rate`."""
    return Adaptive(pacer=Pacer(rate * 0.995))


class Jitter:
    """Each request by itself: back-off with full jitter, or Retry-After."""

    def __init__(self, _rate: float) -> None:
        self._draw = random.Random(1).random  # noqa: S311

    async def acquire(self) -> int:
        """Return at once."""
        return 0

    def record_success(self, _sent: float, _number: int, _allowance: QuotaHeaders | None) -> None:
        """Record nothing."""

    def record_refusal(self, _sent: float, refusals: int, retry_after: float | None) -> float:
        """Return the seconds to wait."""
        if retry_after is not None:
            return retry_after
        return pause_without_retry_after(refusals, 0) * 2 * self._draw()


class Aimd:
    """Additive increase, multiplicative decrease of a rate: + 5 a second, x 0.85."""

    def __init__(self, _rate: float) -> None:
        self._rate = 20.0
        self._due = self._cut = -float("inf")
        self._jitter = Jitter(0)

    async def acquire(self) -> int:
        """Wait until the present rate allows a request."""
        now = asyncio.get_running_loop().time()
        self._due = max(now, self._due + 1 / self._rate)
        await asyncio.sleep(self._due - now)
        return 0

    def record_success(self, _sent: float, _number: int, _allowance: QuotaHeaders | None) -> None:
        """Raise the rate."""
        self._rate += 5 / self._rate

    def record_refusal(self, sent: float, refusals: int, retry_after: float | None) -> float:
        """Lower the rate, once for all requests that were in flight."""
        if sent >= self._cut:
            self._rate, self._cut = self._rate * 0.85, asyncio.get_running_loop().time()
        return self._jitter.record_refusal(sent, refusals, retry_after)


OTHERS: dict[str, Callable[[float], Controller]] = {
    "jitter": Jitter,
    "AIMD": Aimd,
    "oracle": oracle,
}


@attrs.frozen
class Shape:
    """One row of the table; *goal* says whether the goals apply to it."""

    name: str
    make: Callable[[], Limiter]
    rate: float
    seconds: float = SECONDS
    retry_after: RetryAfter = absent
    goal: bool = False


def shapes() -> list[Shape]:
    """Return the rows."""
    rows = [
        Shape(
            f"bucket {rate}/s, burst {burst}{said}",
            lambda rate=rate, burst=burst: Bucket(rate, burst),
            rate,
            retry_after=retry_after,
            goal=True,
        )
        for rate in (10, 50, 100, 240)
        for burst, retry_after, said in (
            (5, absent, ""),
            (10, in_seconds, ", Retry-After in seconds"),
            (20, absent, ""),
            (50, as_date, ", Retry-After as a date"),
            (100, absent, ""),
        )
    ]
    rows += [
        Shape("50 in 1 s", lambda: FixedWindow(50, 1), 50),
        Shape("50 in 1 s, Retry-After", lambda: FixedWindow(50, 1), 50, retry_after=in_seconds),
        Shape("50 in 1 s, X-RateLimit", lambda: FixedWindow(50, 1, says=True), 50),
        Shape("500 in 10 s", lambda: FixedWindow(500, 10), 50),
        Shape("500 in 10 s, Retry-After", lambda: FixedWindow(500, 10), 50, retry_after=in_seconds),
        Shape("500 in 10 s, X-RateLimit", lambda: FixedWindow(500, 10, says=True), 50),
        Shape("600 in 60 s, 5 min", lambda: FixedWindow(600, 60), 10, 300),
        Shape("600 in 60 s, X-RateLimit, 5 min", lambda: FixedWindow(600, 60, says=True), 10, 300),
        Shape("900 in 1 h, X-RateLimit", lambda: FixedWindow(900, 3600, says=True), 0.25, 7200),
        Shape("50 in any 1 s", lambda: SlidingLog(50, 1), 50),
        Shape("50 in any 1 s, refusals count", lambda: SlidingLog(50, 1, counts_all=True), 50),
        Shape("bucket 20/s, from 17 s on 80/s", lambda: Bucket(20, 10, ((17, 80),)), 80),
        Shape("bucket 80/s, from 20 s on 20/s", lambda: Bucket(80, 10, ((20, 20),)), 80),
    ]  # fmt: skip
    return rows


def in_flight_for(rate: float, latency: float) -> int:
    """Return as much concurrency as a user would set for this rate at this distance."""
    in_flight = MIN_IN_FLIGHT
    while in_flight < 1.3 * rate * latency:
        in_flight *= 2
    return in_flight


@attrs.frozen
class Case:
    """One cell of the table; *config* is the estimator's of aioburki."""

    number: int
    latency: float
    name: str
    in_flight: int
    config: RateEstimatorConfig


def controller(case: Case, rate: float) -> Controller:
    """Return the controller of *case* for a limit of *rate* requests per second."""
    if case.name == "aioburki":
        return adaptive(case.config)
    return OTHERS[case.name](rate)


@attrs.frozen
class Cell:
    """One server of `--latencies`, whose refusals have a latency of their own; seconds."""

    page: float
    refusal: float
    in_flight: int
    rate: float
    seed: int = 0


def measure_cell(cell: Cell) -> tuple[float, float]:
    """Return the share used of what is possible and the share refused, in percent."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(
            crowd(
                Adaptive(),
                Bucket(cell.rate, 10),
                workers=cell.in_flight,
                latency=cell.page,
                refusal=cell.refusal,
                seconds=SECONDS,
                seed=cell.seed,
            )
        )
    finally:
        loop.close()
    mean_page = cell.page * 1.05  # `crowd` makes it up to a tenth longer
    possible = min(cell.rate, cell.in_flight / mean_page) * SECONDS
    return 100 * result.passed / possible, result.refused_percent


def print_cells(seeds: int) -> None:
    """Print the worst of so many seeds for each server of `--latencies`."""
    cells = [
        Cell(page, refusal, in_flight, rate, seed)
        for page in (0.02, 0.2, 0.5)
        for refusal in (0.001, page)
        for in_flight in (8, 32, 64)
        for rate in (10, 50, 100)
        for seed in range(seeds)
    ]
    with ProcessPoolExecutor() as processes:
        results = list(processes.map(measure_cell, cells))
    print("| page | refusal | in flight | limit | used at least | refused at most |")
    print("|---|---|---|---|---|---|")
    good = 0
    for place in range(0, len(cells), seeds):
        cell, group = cells[place], results[place : place + seeds]
        used = min(each for each, _ in group)
        refused = max(each for _, each in group)
        good += used >= 90
        print(
            f"| {cell.page} s | {cell.refusal} s | {cell.in_flight} | {cell.rate}/s "
            f"| {used:.0f} % | {refused:.1f} % |"
        )
    print(f"\n{good} of {len(cells) // seeds}: at least 90 % of what is possible is used.")


def measure(case: Case) -> str:
    """Return a cell of the table."""
    shape = shapes()[case.number]
    limiter = shape.make()
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(
            crowd(
                controller(case, shape.rate),
                limiter,
                workers=case.in_flight or in_flight_for(shape.rate, case.latency),
                latency=case.latency,
                seconds=shape.seconds,
                retry_after=shape.retry_after,
            )
        )
    finally:
        loop.close()
    used = 100 * result.passed / limiter.capacity(shape.seconds)
    is_met = used >= 95 and result.refused_percent <= 1.5 and result.most_refusals <= 3
    mark = "" if is_met or not shape.goal or case.name != "aioburki" else " missed"
    return f"{used:.1f} / {result.refused_percent:.2f} / {result.most_refusals}{mark}"


def changed(settings: list[str]) -> RateEstimatorConfig:
    """Return the estimator's constants with these ``NAME=VALUE`` in place of their own."""
    pairs = [setting.split("=") for setting in settings]
    return attrs.evolve(RateEstimatorConfig(), **{name: float(value) for name, value in pairs})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--in-flight", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--latencies", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--nginx", action="store_true")
    options = parser.parse_args()
    if options.latencies:
        print_cells(options.latencies)
    if options.nginx:
        print_shapes(SECONDS)
    if options.latencies or options.nginx:
        return
    config = changed(options.set)
    names = ["aioburki"] if options.set else ["aioburki", *OTHERS]
    rows = [
        [Case(number, latency, name, options.in_flight, config) for name in names]
        for number, _ in enumerate(shapes())
        for latency in (0.02, 0.18)
        if not options.quick or (number % 5 == 0 and latency == 0.02)
    ]
    cases = [case for row in rows for case in row]
    with ProcessPoolExecutor() as processes:
        cells = dict(zip(cases, processes.map(measure, cases), strict=True))
    print("| limit | ms away |", " | ".join(names), "|")
    print("|---|---|" + "---|" * len(names))
    for row in rows:
        columns = " | ".join(cells[case] for case in row)
        print(f"| {shapes()[row[0].number].name} | {row[0].latency * 1000:.0f} | {columns} |")
    missed = sum(cell.endswith("missed") for cell in cells.values())
    goals = sum(shapes()[row[0].number].goal for row in rows)
    print(f"\n{goals - missed} of {goals} buckets: at least 95 % used, at most 1.5 % refused,")
    print("no page refused more than three times.")


if __name__ == "__main__":
    main()
