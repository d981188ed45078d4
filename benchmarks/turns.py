"""Turns: pull the same lists with several clients in turns, round by round."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from processes import SOURCE, MeasuringError, get_json, measure_pull, run_server
from record import Record, problem_of
from scenarios import Client, Scenario


@dataclass(frozen=True)
class ClientVersion:
    """A client, and the folder of the aioburki that it imports."""

    client: Client
    source: Path = SOURCE


def run(
    scenarios: Sequence[Scenario],
    versions: Mapping[str, ClientVersion],
    rounds: int,
    record: Record,
) -> None:
    """Run all scenarios *rounds* times, with one server for each list.

    *versions* maps the client names of the scenarios; clients without an entry are left out.
    """

    def size(scenario: Scenario) -> int:
        return scenario.total

    for total, group in groupby(sorted(scenarios, key=size), key=size):
        same_list = list(group)
        with run_server(total, same_list) as urls:
            for number in range(rounds):
                for scenario in same_list:
                    if number < scenario.rounds:
                        take_turns(scenario, versions, number, urls[scenario.server_mode], record)
                print(f"{total:,} contacts, round {number + 1} of {rounds}", file=sys.stderr)


def take_turns(
    scenario: Scenario,
    versions: Mapping[str, ClientVersion],
    number: int,
    base_url: str,
    record: Record,
) -> None:
    """Pull once with each client, starting with another client in each round."""
    expected = get_json(f"{base_url}/ids")
    names = [name for name in scenario.clients if name in versions]
    start = number % len(names) if names else 0
    for name in (*names[start:], *names[:start]):
        if (scenario.name, name) in record.problems:
            continue
        version = versions[name]
        try:
            got = measure_pull(version.client, scenario, base_url, version.source)
        except MeasuringError as error:
            record.add_problem(scenario.name, name, str(error))
            continue
        if problem := problem_of(got, expected):
            record.add_problem(scenario.name, name, problem)
            continue
        record.add(scenario.name, name, number, got)
