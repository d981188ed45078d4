"""Do one measurement in this process, which was started for it, and print the figures as JSON.

``measure.py pull '{…}'`` pulls a list once with the client in a module of ``peers/``;
``measure.py decode '{…}'`` compares decoders on one page. A pull is timed from the first request to
the last contact; importing and constructing the client are not part of it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any

from job import Job

INTERVAL = 0.001  # seconds that the heartbeat sleeps
MIB = 2**20


async def pull(module: str, job: Job, *, heartbeat: bool) -> dict[str, Any]:
    """Return the figures of one pull, and the summary of the ids that it returned."""
    peer = import_module(module)
    async with peer.open_pull(job) as run:
        gc.collect()
        idle = _memory_with_peak_reset()
        lags: list[float] = []
        beating = asyncio.create_task(_record_lags(lags)) if heartbeat else None
        cpu, start = time.process_time(), time.perf_counter()
        result = await run()
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        memory = _memory("VmHWM") - idle
        if beating is not None:
            await asyncio.sleep(2 * INTERVAL)  # so that the last stall is recorded
            beating.cancel()
    figures: dict[str, Any] = {"wall": wall, "cpu": cpu, "memory": memory / MIB}
    if lags:
        lags.sort()
        figures["lag_p99"] = lags[ceil(0.99 * len(lags)) - 1] * 1000
        figures["lag_max"] = lags[-1] * 1000
    figures.update(peer.ids(result).summary())
    return figures


async def _record_lags(lags: list[float]) -> None:
    """Sleep over and over, and record by how many seconds too long."""
    clock = time.perf_counter
    while True:
        due = clock() + INTERVAL
        await asyncio.sleep(INTERVAL)
        lags.append(max(0.0, clock() - due))


def _memory_with_peak_reset() -> int:
    """Return the memory in use in bytes, and reset the peak that `VmHWM` reports.

    `getrusage` cannot be used: its peak starts with that of the parent process.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def decode(job: Job) -> dict[str, float]:
    """Return CPU µs per contact of each decoder, on the same page.

    The decoders take turns with garbage collection disabled; its cost shows in whole pulls.
    """
    import msgspec  # noqa: PLC0415 - not imported by pulls that do not use it
    from decode import BarePage  # noqa: PLC0415
    from peers.expert import Page  # noqa: PLC0415

    from aioburki._list_contacts import CONTACTS  # noqa: PLC0415

    request = urllib.request.Request(f"{job.url}?per_page={job.per_page}", headers=job.headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request) as response:  # noqa: S310
        body: bytes = response.read()
    decoders: dict[str, Callable[[bytes], Any]] = {
        "struct": msgspec.json.Decoder(Page).decode,
        "attrs": msgspec.json.Decoder(BarePage).decode,
        "aioburki": CONTACTS.decoder.decode,
    }
    times: dict[str, list[float]] = {name: [] for name in decoders}
    gc.disable()
    for _ in range(30):
        for name, decoder in decoders.items():
            start = time.process_time()
            page = decoder(body)
            times[name].append((time.process_time() - start) / job.per_page * 1e6)
            assert len(page.contacts) == job.per_page
            del page
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    what, options = sys.argv[1], json.loads(sys.argv[2])
    given = Job(**options.pop("job"))
    result = asyncio.run(pull(job=given, **options)) if what == "pull" else decode(given)
    print(json.dumps(result))
