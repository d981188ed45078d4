"""Processes: start the server, and each measurement in a fresh process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from job import Job
from scenarios import Client, Scenario

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src"
LONGEST = 300


class MeasuringError(Exception):
    """Say why a measurement came to nothing."""


@contextmanager
def serving(total: int, scenarios: Iterable[Scenario]) -> Iterator[Mapping[str, str]]:
    """Serve a list of *total* contacts; yield the base URL for each way to answer."""
    per_pages = sorted({str(each.per_page) for each in scenarios} | {"50"})
    ways = sorted({each.way for each in scenarios})
    command = [sys.executable, str(HERE / "server.py"), "--contacts", str(total)]
    with subprocess.Popen(
        [*command, "--per-page", *per_pages, "--ways", *ways], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            ports: dict[str, int] = json.loads(server.stdout.readline())
            yield {way: f"http://127.0.0.1:{port}" for way, port in ports.items()}
        finally:
            server.kill()


def told(url: str) -> dict[str, Any]:
    """Return what the server says beside the API."""
    with urllib.request.urlopen(url, timeout=LONGEST) as answer:  # noqa: S310 - our own server
        said: dict[str, Any] = json.load(answer)
    return said


def pulled(
    client: Client, scenario: Scenario, base_url: str, source: Path = SOURCE
) -> dict[str, Any]:
    """Return the figures of one pull, with the aioburki below *source*.

    Raises:
        MeasuringError: the client is not installed, or has failed.
    """
    job = Job(base_url=base_url, per_page=scenario.per_page, in_flight=scenario.in_flight)
    options = {"module": client.module, "job": vars(job), "heartbeat": scenario.heartbeat}
    told(f"{base_url}/stats")
    figures = measured("measure.py", "pull", json.dumps(options), source=source)
    seen = told(f"{base_url}/stats")
    allowed = scenario.in_flight + seen["faults"]
    return figures | seen | {"extra_connections": max(0, seen["connections"] - allowed)}


def decoded(base_url: str, per_page: int) -> dict[str, Any]:
    """Return µs per contact for each way to decode a page.

    Raises:
        MeasuringError: a way is not installed.
    """
    job = Job(base_url=base_url, per_page=per_page, in_flight=1)
    return measured("measure.py", "decode", json.dumps({"job": vars(job)}))


def imported(how: str) -> dict[str, Any]:
    """Return what importing aioburki takes, installed ``plain`` or as it is here."""
    return measured("importing.py", how)


def measured(script: str, *arguments: str, source: Path = SOURCE) -> dict[str, Any]:
    """Return what *script* prints, run in a fresh process.

    Raises:
        MeasuringError: it has failed.
    """
    paths = [str(source), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / script), *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MeasuringError(f"not done in {LONGEST} s") from None
    if done.returncode == 0:
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures
    last = (done.stderr.strip().splitlines() or ["no word"])[-1]
    if last.startswith("ModuleNotFoundError"):
        raise MeasuringError(f"not installed: {last.split(chr(39))[1]}")
    raise MeasuringError(f"**failed**: {last.partition(':')[0]}")
