"""Record: the measured figures, and their medians and ratios. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """A median, or a ratio of two medians, and the minimum and maximum over the rounds."""

    value: float
    low: float
    high: float


@dataclass
class Record:
    """The figures of each client in each scenario, by round.

    A client that failed or returned wrong contacts in one round has no figures in that scenario.
    """

    rounds: dict[Key, dict[int, Mapping[str, float]]] = field(default_factory=dict)
    problems: dict[Key, str] = field(default_factory=dict)

    def add(self, scenario: str, client: str, number: int, figures: Mapping[str, float]) -> None:
        """Record the figures of round *number*."""
        self.rounds.setdefault((scenario, client), {})[number] = figures

    def add_problem(self, scenario: str, client: str, problem: str) -> None:
        """Record why there are no figures; only the first problem is kept."""
        self.problems.setdefault((scenario, client), problem)

    def figure(self, scenario: str, client: str, name: str) -> Figure | None:
        """Return the median over the rounds, or None if there are no valid figures."""
        values = self._values(scenario, client, name)
        return _figure(statistics.median(values.values()), values.values()) if values else None

    def ratio(self, over: tuple[str, str], under: tuple[str, str], name: str) -> Figure | None:
        """Return the ratio of two medians, and the minimum and maximum ratio of single rounds.

        *over* and *under* are pairs of scenario and client.
        """
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


def problem_of(got: Mapping[str, object], expected: Mapping[str, object]) -> str | None:
    """Return what is wrong with the contacts that a client returned, or None.

    Both arguments are summaries of `Ids`: the number of ids and their hash.
    """
    if got["count"] != expected["count"]:
        return f"**wrong**: {got['count']:,} of {expected['count']:,} contacts"
    if got["digest"] != expected["digest"]:
        return "**wrong**: other contacts, or in another order"
    return None
