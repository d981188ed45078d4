"""Measure what pausing the garbage collector during decoding gains, in time and in loop lag.

Run it with ``python benchmarks/collector.py``. A server in another process sends pages of 1,000
contacts. Each pull runs in a new process, which first fetches one contact and then measures by
how much its memory grows. During the pull a task sleeps for 1 ms over and over; how much too late
it wakes is the lag that every other task would have. The modes take turns; the table shows
medians.

The modes are ``kept`` (all contacts in a list), ``streamed`` (none kept), and each of them followed
by ``, gc not paused``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from typing import Any

from aioburki import BurkiClient
from aioburki._requests import attempt
from aioburki.sandbox import Sandbox

PER_PAGE = 1000
INTERVAL = 0.001  # seconds that the heartbeat sleeps


async def template() -> tuple[bytes, bytes]:
    """Return the JSON of 1,000 contacts and of the pagination, with ``%d`` for the numbers."""
    path, key = "/api/v1/campaigns/42/contacts", {"authorization": "Bearer any"}
    response = await Sandbox(PER_PAGE).answer("GET", path, f"per_page={PER_PAGE}", key)
    contacts = json.loads(response.body)["contacts"]
    for contact in contacts:
        contact["id"] = "%d"
    text = json.dumps(contacts, ensure_ascii=False, separators=(",", ":")).replace('"%d"', "%d")
    pagination = (
        b'{"page":%d,"per_page":%d,"total_items":%d,"total_pages":%d,'
        b'"has_next":%b,"has_prev":false}'
    )
    return text.encode(), pagination


async def serve(total: int) -> None:
    """Print the port and serve until killed."""
    contacts, pagination = await template()
    one = contacts[: contacts.index(b',{"id":%d')] + b"]"
    total_pages = total // PER_PAGE

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                query = dict(
                    part.split(b"=") for part in head.split()[1].split(b"?")[1].split(b"&")
                )
                number, is_one = int(query[b"page"]), query[b"per_page"] == b"1"
                first = number * PER_PAGE
                rows = one % first if is_one else contacts % tuple(range(first, first + PER_PAGE))
                page = pagination % (
                    number,
                    1 if is_one else PER_PAGE,
                    total,
                    total if is_one else total_pages,
                    b"true" if number < total_pages else b"false",
                )
                body = b'{"contacts":%b,"pagination":%b}' % (rows, page)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def record_lags(lags: list[float]) -> None:
    """Sleep over and over, and record by how many seconds too long."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(INTERVAL)
        lags.append(time.perf_counter() - start - INTERVAL)


def peak_memory() -> int:
    """Return the peak memory of this process in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def measure(mode: str, port: int) -> dict[str, float]:
    """Pull all contacts; return seconds, lags in milliseconds, and memory growth in MiB."""
    if "not paused" in mode:
        attempt.gc_paused = nullcontext
    lags: list[float] = []
    async with BurkiClient("any", base_url=f"http://127.0.0.1:{port}") as burki:
        contacts = burki.contacts(42)
        await contacts.count()
        gc.collect()
        idle, start, cpu = peak_memory(), time.perf_counter(), time.process_time()
        heart = asyncio.create_task(record_lags(lags))
        number = 0
        kept: Any = None
        if mode.startswith("kept"):
            kept = await contacts
            number = len(kept)
        else:
            async for _ in contacts:
                number += 1
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
        heart.cancel()
    lags.sort()
    return {
        "contacts": number,
        "seconds": seconds,
        "cpu": used,
        "p99": lags[int(len(lags) * 0.99)] * 1000,
        "max": lags[-1] * 1000,
        "growth": (peak_memory() - idle) / 1024,
    }


def compare(total: int, rounds: int, modes: list[str]) -> None:
    """Run all modes in turns and print the table."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(total)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    figures: dict[str, list[dict[str, float]]] = {mode: [] for mode in modes}
    try:
        port = server.stdout.readline().strip()
        for _ in range(rounds):
            for mode in modes:
                command = [sys.executable, __file__, "--measure", mode, port]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                figures[mode].append(json.loads(done.stdout))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    print("| mode | contacts | s | CPU s | lag p99 ms | max lag ms | memory MiB |")
    print("|---|---|---|---|---|---|---|")
    for mode, runs in figures.items():
        median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(
            f"| {mode} | {median['contacts']:,.0f} | {median['seconds']:.2f} | {median['cpu']:.2f} "
            f"| {median['p99']:.1f} | {median['max']:.1f} | {median['growth']:.0f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    default = ["kept", "kept, gc not paused", "streamed"]
    parser.add_argument("--modes", nargs="*", default=default)
    parser.add_argument("--serve", type=int)
    parser.add_argument("--measure", nargs=2)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
    elif options.measure:
        print(json.dumps(asyncio.run(measure(options.measure[0], int(options.measure[1])))))
    else:
        compare(options.contacts, options.rounds, options.modes)
