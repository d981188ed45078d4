"""Goals: what is to be reached, each with its bound and where its figure comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from record import Figure, Record

KEPT, STREAMED = "aioburki_kept", "aioburki_streamed"
WORDS = {KEPT: "kept", STREAMED: "streamed"}
PULLS = {
    "near": "200 × 1,000, no latency",
    "far": "200 × 1,000, 20 ms",
    "small": "4,000 × 50, no latency",
}


@dataclass(frozen=True)
class Goal:
    """One figure and its bound.

    *at_worst* holds the least favourable round to the bound, instead of the median.
    """

    text: str
    bound: float
    unit: str
    figure: Callable[[Record], Figure | None]
    at_least: bool = False
    at_worst: bool = False

    def reached(self, record: Record) -> float | None:
        """Return the figure that counts, or None if it was not measured."""
        figure = self.figure(record)
        if figure is None:
            return None
        if not self.at_worst:
            return figure.value
        return figure.low if self.at_least else figure.high

    def verdict(self, record: Record) -> str:
        """Return ``met``, ``missed`` or ``not measured``."""
        reached = self.reached(record)
        if reached is None:
            return "not measured"
        is_met = reached >= self.bound if self.at_least else reached <= self.bound
        return "met" if is_met else "missed"


def faster(scenario: str, client: str, base: str) -> Callable[[Record], Figure | None]:
    """Return what tells how many times as fast as *base* a client is."""
    return lambda record: record.ratio((scenario, base), (scenario, client), "wall")


def measured(scenario: str, client: str, name: str) -> Callable[[Record], Figure | None]:
    """Return what tells a median."""
    return lambda record: record.figure(scenario, client, name)


def compared(
    over: str, under: str, name: str, client: str = KEPT
) -> Callable[[Record], Figure | None]:
    """Return what tells the ratio of two scenarios for one client."""
    return lambda record: record.ratio((over, client), (under, client), name)


def _pull_goals() -> Iterator[Goal]:
    yield Goal(
        "Decoding 1,000 contacts to attrs objects: time, × msgspec structs", 1.3, "×",
        lambda record: record.ratio(("decode", "aioburki"), ("decode", "struct"), "wall"),
    )  # fmt: skip
    for scenario, bound in (("near", 1.6), ("far", 1.6), ("small", 0.9)):
        text = f"Pull of {PULLS[scenario]}, kept: speed, × expert"
        yield Goal(text, bound, "×", faster(scenario, KEPT, "expert"), at_least=True)
    for scenario in ("near", "far"):
        text = f"Pull of {PULLS[scenario]}, kept: speed, × `gather` + httpx + json + cattrs"
        yield Goal(text, 5, "×", faster(scenario, KEPT, "gather"), at_least=True)
    text = f"Pull of {PULLS['far']}, kept: speed, × the API page's example"
    yield Goal(text, 10, "×", faster("far", KEPT, "one_after_another"), at_least=True)


def _memory_goals() -> Iterator[Goal]:
    yield Goal(
        "Streaming 1,000,000 contacts: most memory above the idle client", 64, "MiB",
        measured("memory-1000", STREAMED, "memory"), at_worst=True,
    )  # fmt: skip

    def difference(record: Record) -> Figure | None:
        more = record.figure("memory-1000", STREAMED, "memory")
        less = record.figure("memory-100", STREAMED, "memory")
        if more is None or less is None:
            return None
        return Figure(more.value - less.value, more.low - less.high, more.high - less.low)

    yield Goal("The same less that for 100,000 contacts", 2, "MiB", difference)


def _lag_goals() -> Iterator[Goal]:
    for scenario in ("near", "far"):
        for client in (KEPT, STREAMED):
            what = f"Heartbeat beside a pull of {PULLS[scenario]}, {WORDS[client]}: late"
            lag = f"lag-{scenario}"
            yield Goal(f"{what}, 99 of 100 beats", 5, "ms", measured(lag, client, "late_99"))
            most = measured(lag, client, "late_most")
            yield Goal(f"{what}, at worst", 25, "ms", most, at_worst=True)
    made = measured("import", "installed", "construct")
    yield Goal("Making the first client", 5, "ms", made)


def _flight_goals() -> Iterator[Goal]:
    for more, fewer in ((50, 20), (100, 50)):
        yield Goal(
            f"Requests per second: {more} in flight, × {fewer} in flight", 1, "×",
            compared(f"in-flight-{fewer}", f"in-flight-{more}", "wall"), at_least=True,
        )  # fmt: skip
    yield Goal(
        "CPU per request: 100 in flight, × 10 in flight", 1.3, "×",
        compared("in-flight-100", "in-flight-10", "cpu"),
    )  # fmt: skip
    for number in (10, 20, 50, 100):
        extra = measured(f"in-flight-{number}", KEPT, "extra_connections")
        yield Goal(
            f"Connections beyond {number} in flight", 0, "", extra, at_worst=True
        )  # fmt: skip
    extra = measured("faults", KEPT, "extra_connections")
    yield Goal("Connections beyond 100 in flight + faults", 0, "", extra, at_worst=True)


def _import_goals() -> Iterator[Goal]:
    plain = measured("import", "plain", "import")
    yield Goal("`import aioburki`, installed without extras", 150, "ms", plain)
    full = measured("import", "installed", "import")
    yield Goal("`import aioburki`, installed with `[all]`", 150, "ms", full)
    extras = measured("import", "installed", "extras")
    yield Goal("Packages of the extras that it imports", 0, "", extras, at_worst=True)


GOALS = (
    *_pull_goals(), *_memory_goals(), *_lag_goals(), *_flight_goals(), *_import_goals(),
)  # fmt: skip
