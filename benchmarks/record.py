"""Record: what was measured, and the medians and ratios of it. No clock, no process."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """A median, or a ratio of two, and the least and the most that one round gave."""

    value: float
    low: float
    high: float


@dataclass
class Record:
    """Hold the figures of each client in each scenario, round by round.

    A client that was wrong or failed once has no figures there, whatever its other rounds say.
    """

    rounds: dict[Key, dict[int, Mapping[str, float]]] = field(default_factory=dict)
    problems: dict[Key, str] = field(default_factory=dict)

    def add(self, scenario: str, client: str, number: int, figures: Mapping[str, float]) -> None:
        """Keep what round *number* has measured."""
        self.rounds.setdefault((scenario, client), {})[number] = figures

    def add_problem(self, scenario: str, client: str, problem: str) -> None:
        """Keep why there is nothing to measure; the first one counts."""
        self.problems.setdefault((scenario, client), problem)

    def figure(self, scenario: str, client: str, name: str) -> Figure | None:
        """Return the median over the rounds, or None if there is none to trust."""
        values = self._values(scenario, client, name)
        return _figure(statistics.median(values.values()), values.values()) if values else None

    def ratio(self, over: tuple[str, str], under: tuple[str, str], name: str) -> Figure | None:
        """Return the ratio of the medians of two (scenario, client), and of single rounds."""
        above, below = self._values(*over, name), self._values(*under, name)
        both = above.keys() & below.keys()
        if not both or not all(below.values()):
            return None
        value = statistics.median(above.values()) / statistics.median(below.values())
        return _figure(value, [above[number] / below[number] for number in both])

    def _values(self, scenario: str, client: str, name: str) -> dict[int, float]:
        if (scenario, client) in self.problems:
            return {}
        measured = self.rounds.get((scenario, client), {})
        return {number: each[name] for number, each in measured.items() if name in each}


def _figure(value: float, values: Collection[float]) -> Figure:
    return Figure(value, min(values), max(values))


def judged(got: Mapping[str, object], expected: Mapping[str, object]) -> str | None:
    """Say what is wrong with the contacts that a client returned, or None.

    Both hold the number of ids and a checksum of them in their order.
    """
    if got["count"] != expected["count"]:
        return f"**wrong**: {got['count']:,} of {expected['count']:,} contacts"
    if got["digest"] != expected["digest"]:
        return "**wrong**: other contacts, or in another order"
    return None
