"""Turns: pull the same lists with several clients, one after another, round by round."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from processes import SOURCE, MeasuringError, pulled, serving, told
from record import Record, judged
from scenarios import Client, Scenario


@dataclass(frozen=True)
class Entrant:
    """A client, and the aioburki that it imports if it does."""

    client: Client
    source: Path = SOURCE


def run(
    scenarios: Sequence[Scenario], entrants: Mapping[str, Entrant], rounds: int, record: Record
) -> None:
    """Pull everything with everybody, *rounds* times; one server for each list.

    The scenarios' clients are names of *entrants*; those who are not there are left out.
    """

    def size(scenario: Scenario) -> int:
        return scenario.total

    for total, group in groupby(sorted(scenarios, key=size), key=size):
        asked = list(group)
        with serving(total, asked) as urls:
            for number in range(rounds):
                for scenario in asked:
                    if number < scenario.rounds:
                        take_turns(scenario, entrants, number, urls[scenario.way], record)
                print(f"{total:,} contacts, round {number + 1} of {rounds}", file=sys.stderr)


def take_turns(
    scenario: Scenario,
    entrants: Mapping[str, Entrant],
    number: int,
    base_url: str,
    record: Record,
) -> None:
    """Pull once with each client, beginning with another one in each round."""
    expected = told(f"{base_url}/ids")
    names = [name for name in scenario.clients if name in entrants]
    start = number % len(names) if names else 0
    for name in (*names[start:], *names[:start]):
        if (scenario.name, name) in record.problems:
            continue
        entrant = entrants[name]
        try:
            got = pulled(entrant.client, scenario, base_url, entrant.source)
        except MeasuringError as error:
            record.add_problem(scenario.name, name, str(error))
            continue
        if problem := judged(got, expected):
            record.add_problem(scenario.name, name, problem)
            continue
        record.add(scenario.name, name, number, got)
