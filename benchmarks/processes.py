"""Processes: start the server, and run each measurement in a new process."""

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
MAX_SECONDS = 300  # for one measurement


class MeasuringError(Exception):
    """Raised if a measurement has failed, with the reason for the table."""


@contextmanager
def run_server(total: int, scenarios: Iterable[Scenario]) -> Iterator[Mapping[str, str]]:
    """Serve a list of *total* contacts; yield the base URL of each server mode."""
    modes = sorted({each.server_mode for each in scenarios})
    command = [sys.executable, str(HERE / "server.py"), "--contacts", str(total)]
    with subprocess.Popen(
        [*command, "--modes", *modes], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            ports: dict[str, int] = json.loads(server.stdout.readline())
            yield {mode: f"http://127.0.0.1:{port}" for mode, port in ports.items()}
        finally:
            server.kill()


def get_json(url: str) -> dict[str, Any]:
    """Return the JSON that the server sends for *url*."""
    with urllib.request.urlopen(url, timeout=MAX_SECONDS) as response:  # noqa: S310 - our own server
        content: dict[str, Any] = json.load(response)
    return content


def measure_pull(
    client: Client, scenario: Scenario, base_url: str, source: Path = SOURCE
) -> dict[str, Any]:
    """Return the figures of one pull, with the aioburki in the folder *source*.

    Raises:
        MeasuringError: the client is not installed, or has failed.
    """
    job = Job(base_url=base_url, per_page=scenario.per_page, in_flight=scenario.in_flight)
    options = {"module": client.module, "job": vars(job), "heartbeat": scenario.heartbeat}
    get_json(f"{base_url}/stats")  # resets the counters
    figures = run_script("measure.py", "pull", json.dumps(options), source=source)
    stats = get_json(f"{base_url}/stats")
    allowed = scenario.in_flight + stats["faults"]
    return figures | stats | {"extra_connections": max(0, stats["connections"] - allowed)}


def measure_decoding(base_url: str, per_page: int) -> dict[str, Any]:
    """Return CPU µs per contact of each decoder.

    Raises:
        MeasuringError: a decoder is not installed, or has failed.
    """
    job = Job(base_url=base_url, per_page=per_page, in_flight=1)
    return run_script("measure.py", "decode", json.dumps({"job": vars(job)}))


def measure_import(how: str) -> dict[str, Any]:
    """Return the figures of `importing.py`.

    *how* is ``plain`` to hide the packages of the extras, or ``installed``.
    """
    return run_script("importing.py", how)


def run_script(script: str, *arguments: str, source: Path = SOURCE) -> dict[str, Any]:
    """Run *script* in a new process; return the JSON object that it prints.

    Raises:
        MeasuringError: it has failed, or took longer than MAX_SECONDS.
    """
    paths = [str(source), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / script), *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MeasuringError(f"not finished in {MAX_SECONDS} s") from None
    if done.returncode == 0:
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    if last.startswith("ModuleNotFoundError"):
        raise MeasuringError(f"not installed: {last.split(chr(39))[1]}")
    raise MeasuringError(f"**failed**: {last.partition(':')[0]}")
