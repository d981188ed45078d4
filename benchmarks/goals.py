"""Goals: the bound of each figure, and how the figure is computed from a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from record import Figure, Record

KEPT, STREAMED = "aioburki_kept", "aioburki_streamed"
MODES = {KEPT: "kept", STREAMED: "streamed"}
PULLS = {
    "near": "200 × 1,000, no latency",
    "far": "200 × 1,000, 20 ms",
    "small": "4,000 × 50, no latency",
}


@dataclass(frozen=True)
class Goal:
    """One figure and its bound.

    Attributes:
        text: the description for the table.
        bound: the highest value that meets the goal, or the lowest with *at_least*.
        unit: the unit of the bound, or a multiplication sign for a ratio.
        figure: computes the figure from a record; None if it was not measured.
        at_least: whether higher is better.
        worst_round: whether the worst round counts instead of the median.
    """

    text: str
    bound: float
    unit: str
    figure: Callable[[Record], Figure | None]
    at_least: bool = False
    worst_round: bool = False

    def reached(self, record: Record) -> float | None:
        """Return the figure that counts, or None if it was not measured."""
        figure = self.figure(record)
        if figure is None:
            return None
        if not self.worst_round:
            return figure.value
        return figure.low if self.at_least else figure.high

    def verdict(self, record: Record) -> str:
        """Return ``met``, ``missed`` or ``not measured``."""
        reached = self.reached(record)
        if reached is None:
            return "not measured"
        is_met = reached >= self.bound if self.at_least else reached <= self.bound
        return "met" if is_met else "missed"


def speed_ratio(scenario: str, client: str, base: str) -> Callable[[Record], Figure | None]:
    """Return a function that computes the speed of *client* relative to *base*."""
    return lambda record: record.ratio((scenario, base), (scenario, client), "wall")


def median(scenario: str, client: str, name: str) -> Callable[[Record], Figure | None]:
    """Return a function that returns the median of the figure *name*."""
    return lambda record: record.figure(scenario, client, name)


def scenario_ratio(
    over: str, under: str, name: str, client: str = KEPT
) -> Callable[[Record], Figure | None]:
    """Return a function that computes the ratio of one client's figure in two scenarios."""
    return lambda record: record.ratio((over, client), (under, client), name)


def _pull_goals() -> Iterator[Goal]:
    yield Goal(
        "Decoding 1,000 contacts to attrs objects: time, × msgspec structs", 1.3, "×",
        lambda record: record.ratio(("decode", "aioburki"), ("decode", "struct"), "wall"),
    )  # fmt: skip
    for scenario, bound in (("near", 1.6), ("far", 1.6), ("small", 0.9)):
        text = f"Pull of {PULLS[scenario]}, kept: speed, × expert"
        yield Goal(text, bound, "×", speed_ratio(scenario, KEPT, "expert"), at_least=True)
    for scenario in ("near", "far"):
        text = f"Pull of {PULLS[scenario]}, kept: speed, × `gather` + httpx + json + cattrs"
        yield Goal(text, 5, "×", speed_ratio(scenario, KEPT, "gather"), at_least=True)
    text = f"Pull of {PULLS['far']}, kept: speed, × example of the API reference"
    yield Goal(text, 10, "×", speed_ratio("far", KEPT, "sequential_requests"), at_least=True)


def _memory_goals() -> Iterator[Goal]:
    yield Goal(
        "Streaming 1,000,000 contacts: peak memory above the idle client", 64, "MiB",
        median("memory-1000", STREAMED, "memory"), worst_round=True,
    )  # fmt: skip

    def difference(record: Record) -> Figure | None:
        more = record.figure("memory-1000", STREAMED, "memory")
        less = record.figure("memory-100", STREAMED, "memory")
        if more is None or less is None:
            return None
        return Figure(more.value - less.value, more.low - less.high, more.high - less.low)

    yield Goal("The same minus that for 100,000 contacts", 2, "MiB", difference)


def _event_loop_goals() -> Iterator[Goal]:
    for scenario in ("near", "far"):
        for client in (KEPT, STREAMED):
            what = f"Event loop lag during a pull of {PULLS[scenario]}, {MODES[client]}"
            lag = f"lag-{scenario}"
            yield Goal(f"{what}: 99th percentile", 5, "ms", median(lag, client, "lag_p99"))
            maximum = median(lag, client, "lag_max")
            yield Goal(f"{what}: maximum", 25, "ms", maximum, worst_round=True)
    construct = median("import", "installed", "construct")
    yield Goal("Constructing the first client", 5, "ms", construct)


def _flight_goals() -> Iterator[Goal]:
    for more, fewer in ((50, 20), (100, 50)):
        yield Goal(
            f"Requests per second: {more} in flight, × {fewer} in flight", 1, "×",
            scenario_ratio(f"in-flight-{fewer}", f"in-flight-{more}", "wall"), at_least=True,
        )  # fmt: skip
    yield Goal(
        "CPU per request: 100 in flight, × 10 in flight", 1.3, "×",
        scenario_ratio("in-flight-100", "in-flight-10", "cpu"),
    )  # fmt: skip
    for number in (10, 20, 50, 100):
        extra = median(f"in-flight-{number}", KEPT, "extra_connections")
        yield Goal(
            f"Connections above {number} in flight", 0, "", extra, worst_round=True
        )  # fmt: skip
    extra = median("faults", KEPT, "extra_connections")
    yield Goal("Connections above 100 in flight + faults", 0, "", extra, worst_round=True)


def _import_goals() -> Iterator[Goal]:
    plain = median("import", "plain", "import")
    yield Goal("`import aioburki`, installed without extras", 150, "ms", plain)
    full = median("import", "installed", "import")
    yield Goal("`import aioburki`, installed with `[all]`", 150, "ms", full)
    extras = median("import", "installed", "extras")
    yield Goal("Packages of the extras that are imported", 0, "", extras, worst_round=True)


GOALS = (
    *_pull_goals(), *_memory_goals(), *_event_loop_goals(), *_flight_goals(), *_import_goals(),
)  # fmt: skip
