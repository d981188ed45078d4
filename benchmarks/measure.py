"""Measure one thing in this process, which was started for it, and print it as JSON.

``measure.py pull '{…}'`` pulls a list once with the client in a module of ``peers/``;
``measure.py decode`` compares ways to decode a page. The clock runs from the first request to
the last contact: importing and making the client come before it, and are told separately.
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

BEAT = 0.001
MIB = 2**20


async def pull(module: str, job: Job, *, heartbeat: bool) -> dict[str, Any]:
    """Return what one pull took, and the checksum of what came of it."""
    peer = import_module(module)
    async with peer.opened(job) as run:
        gc.collect()
        idle = _memory_restarting_its_peak()
        late: list[float] = []
        beating = asyncio.create_task(_beat(late)) if heartbeat else None
        cpu, start = time.process_time(), time.perf_counter()
        result = await run()
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        memory = _memory("VmHWM") - idle
        if beating is not None:
            await asyncio.sleep(2 * BEAT)  # the last stall counts too
            beating.cancel()
    figures: dict[str, Any] = {"wall": wall, "cpu": cpu, "memory": memory / MIB}
    if late:
        late.sort()
        figures["late_99"] = late[ceil(0.99 * len(late)) - 1] * 1000
        figures["late_most"] = late[-1] * 1000
    figures.update(peer.ids(result).summary())
    return figures


async def _beat(late: list[float]) -> None:
    """Sleep again and again, and note by how much too long."""
    clock = time.perf_counter
    while True:
        due = clock() + BEAT
        await asyncio.sleep(BEAT)
        late.append(max(0.0, clock() - due))


def _memory_restarting_its_peak() -> int:
    """Return the bytes in use now; `VmHWM` then tells the most from here on.

    `getrusage` will not do: its peak begins with that of the process that started this one.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def decode(job: Job) -> dict[str, float]:
    """Return CPU µs per contact for msgspec's own structs and for aioburki, on the same page.

    They take turns, with the collector off: what it costs is a matter of whole pulls.
    """
    import msgspec  # noqa: PLC0415 - a pull is to pay for nothing that it does not use
    from decode import BarePage  # noqa: PLC0415
    from peers.expert import Page  # noqa: PLC0415

    from aioburki._list_contacts import CONTACTS  # noqa: PLC0415

    request = urllib.request.Request(f"{job.url}?per_page={job.per_page}", headers=job.headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        body: bytes = answer.read()
    ways: dict[str, Callable[[bytes], Any]] = {
        "struct": msgspec.json.Decoder(Page).decode,
        "attrs": msgspec.json.Decoder(BarePage).decode,
        "aioburki": CONTACTS.decoder.decode,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    for _ in range(30):
        for name, way in ways.items():
            start = time.process_time()
            page = way(body)
            times[name].append((time.process_time() - start) / job.per_page * 1e6)
            assert len(page.contacts) == job.per_page
            del page
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    what, options = sys.argv[1], json.loads(sys.argv[2])
    asked = Job(**options.pop("job"))
    done = asyncio.run(pull(job=asked, **options)) if what == "pull" else decode(asked)
    print(json.dumps(done))
