"""Pull through nginx with a limit, over real HTTP and without knowing the limit.

``python tests/nginx_pace.py`` pulls for a minute at two limits of requests per second, at the same
time. It prints one line for each pull. A pull is bad if it used less than 95 % of the limit, if
more than 1.5 % of its requests were refused, if one page was refused more than three times, or if a
contact was not delivered exactly once. The exit code is 1 if two pulls in a row at the same limit
are bad.

``--shapes`` pulls once at each of many kinds of limits, all at the same time, and prints a table:
the share used of what is possible (the limit, or requests in flight / seconds a page takes). A pull
is bad if it used less than 90 %, or if a contact was not delivered exactly once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import attrs
from nginx import Shape, nginx
from pages import KEY

from aioburki import BurkiClient, BurkiError, Event, PauseStarted

LIMITS = (Shape(50), Shape(100, burst=20))
SHAPES = (
    Shape(50, in_flight=16),
    Shape(50, in_flight=16, status=503),
    Shape(50, in_flight=16, is_delaying=True),
    Shape(50, in_flight=16, is_delaying=True, status=503),
    Shape(1000, in_flight=16, page_seconds=0.1, connections=4),
    Shape(1000, in_flight=16, page_seconds=0.1, connections=4, status=503),
    Shape(10, in_flight=8, page_seconds=0.02),
    Shape(50, in_flight=64, page_seconds=0.02, is_refusal_late=True),
    Shape(50, in_flight=32, page_seconds=0.2),
    Shape(100, in_flight=64, page_seconds=0.2, is_refusal_late=True),
    Shape(50, in_flight=32, page_seconds=0.5),
    Shape(100, in_flight=64, page_seconds=0.5, is_refusal_late=True),
)


@attrs.frozen
class Result:
    """What a pull came to."""

    shape: Shape
    elapsed: float
    used: float
    refused: float
    max_refusals: int
    is_complete: bool

    @property
    def is_good(self) -> bool:
        """Whether the goals of the pulls without `--shapes` are met."""
        is_kept = self.refused <= 1.5 and self.max_refusals <= 3
        return self.is_complete and self.used >= 95 and is_kept

    def __str__(self) -> str:
        return (
            f"nginx {self.shape}: {self.elapsed:.1f} s, {self.used:.1f} % used, "
            f"{self.refused:.2f} % refused, at most {self.max_refusals} times for one page"
            f"{'' if self.is_complete else ', INCOMPLETE'}"
        )


async def pull(shape: Shape, seconds: float) -> Result:
    """Pull for about *seconds*."""
    pages = int(shape.possible * seconds)
    refusals: Counter[int] = Counter()

    def count_refusals(event: Event) -> None:
        if isinstance(event, PauseStarted):
            refusals[event.page] += 1

    async with (
        nginx(shape, pages) as url,
        BurkiClient(
            KEY, base_url=url, concurrency=shape.in_flight, on_event=count_refusals
        ) as burki,
    ):
        contacts = await burki.contacts(42, per_page=1)
    report = contacts.report
    return Result(
        shape=shape,
        elapsed=report.elapsed,
        used=100 * pages / (shape.possible * report.elapsed),
        refused=100 * (report.requests - pages) / report.requests,
        max_refusals=max(refusals.values(), default=0),
        is_complete=[contact.id for contact in contacts] == list(range(pages)),
    )


def measure(shape: Shape, seconds: float) -> Result | str:
    """Return the result of a pull in a process of its own, or its error."""
    try:
        return asyncio.run(pull(shape, seconds))
    except BurkiError as error:
        return f"{type(error).__name__}: {error}"


def is_kept(shape: Shape, seconds: float) -> bool:
    """Pull once or twice, print the results, and return whether one is good."""
    for _ in range(2):  # the first may fail because the machine was busy
        result = asyncio.run(pull(shape, seconds))
        print(f"{result}: {'good' if result.is_good else 'BAD'}", flush=True)
        if result.is_good:
            return True
    return False


def print_shapes(seconds: float) -> bool:
    """Print the table of all shapes; return whether all are good."""
    with ProcessPoolExecutor(len(SHAPES)) as processes:
        results = list(processes.map(partial(measure, seconds=seconds), SHAPES))
    print("| limit of nginx | used | refused |")
    print("|---|---|---|")
    for shape, result in zip(SHAPES, results, strict=True):
        if isinstance(result, str):
            print(f"| {shape} | {result} | |")
            continue
        note = "" if result.is_complete else " INCOMPLETE"
        print(f"| {shape} | {result.used:.0f} % | {result.refused:.1f} %{note} |")
    good = [r for r in results if isinstance(r, Result) and r.used >= 90 and r.is_complete]
    print(f"\n{len(good)} of {len(SHAPES)}: at least 90 % of what is possible is used.")
    return len(good) == len(SHAPES)


def main() -> None:
    """Pull at each limit; exit with 1 if a limit fails twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--shapes", action="store_true")
    options = parser.parse_args()
    if options.shapes:
        sys.exit(not print_shapes(options.seconds))
    with ProcessPoolExecutor(len(LIMITS)) as processes:
        is_good = list(processes.map(partial(is_kept, seconds=options.seconds), LIMITS))
    sys.exit(not all(is_good))


if __name__ == "__main__":
    main()
