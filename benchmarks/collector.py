"""Measure what keeping the collector off is worth to a pull, and to what runs beside it.

Run it with ``python benchmarks/collector.py``. A server in another process answers with pages of
1,000 contacts; each pull is a fresh process, which first fetches one contact and then notes
what its memory grows by. Beside the pull a heartbeat sleeps for 1 ms over and over; how late
it wakes is how long everything else in the loop would wait. The ways take turns; the table
shows medians.
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
BEAT = 0.001


async def template() -> tuple[bytes, bytes]:
    """Return the JSON of 1,000 contacts and of the pagination, with holes for the numbers."""
    path, key = "/api/v1/campaigns/42/contacts", {"authorization": "Bearer any"}
    answer = await Sandbox(PER_PAGE).answer("GET", path, f"per_page={PER_PAGE}", key)
    contacts = json.loads(answer.body)["contacts"]
    for contact in contacts:
        contact["id"] = "%d"
    text = json.dumps(contacts, ensure_ascii=False, separators=(",", ":")).replace('"%d"', "%d")
    pagination = (
        b'{"page":%d,"per_page":%d,"total_items":%d,"total_pages":%d,'
        b'"has_next":%b,"has_prev":false}'
    )
    return text.encode(), pagination


async def serve(total: int) -> None:
    """Print the port and answer until killed."""
    contacts, pagination = await template()
    one = contacts[: contacts.index(b',{"id":%d')] + b"]"
    total_pages = total // PER_PAGE

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                query = dict(
                    part.split(b"=") for part in head.split()[1].split(b"?")[1].split(b"&")
                )
                number, is_one = int(query[b"page"]), query[b"per_page"] == b"1"
                first = number * PER_PAGE
                rows = one % first if is_one else contacts % tuple(range(first, first + PER_PAGE))
                said = pagination % (
                    number,
                    1 if is_one else PER_PAGE,
                    total,
                    total if is_one else total_pages,
                    b"true" if number < total_pages else b"false",
                )
                body = b'{"contacts":%b,"pagination":%b}' % (rows, said)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def beat(late: list[float]) -> None:
    """Note how late each wake-up is."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(BEAT)
        late.append(time.perf_counter() - start - BEAT)


def peak() -> int:
    """Return the most memory this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def measure(way: str, port: int) -> dict[str, float]:
    """Pull everything and return seconds, milliseconds late, and MiB."""
    if "bare" in way:
        attempt.gc_paused = nullcontext
    late: list[float] = []
    async with BurkiClient("any", base_url=f"http://127.0.0.1:{port}") as burki:
        contacts = burki.contacts(42)
        await contacts.count()
        gc.collect()
        idle, start, cpu = peak(), time.perf_counter(), time.process_time()
        heart = asyncio.create_task(beat(late))
        number = 0
        kept: Any = None
        if way.startswith("kept"):
            kept = await contacts
            number = len(kept)
        else:
            async for _ in contacts:
                number += 1
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
        heart.cancel()
    late.sort()
    return {
        "contacts": number,
        "seconds": seconds,
        "cpu": used,
        "p99": late[int(len(late) * 0.99)] * 1000,
        "worst": late[-1] * 1000,
        "growth": (peak() - idle) / 1024,
    }


def compare(total: int, rounds: int, ways: list[str]) -> None:
    """Run all ways in turns and print the table."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(total)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    try:
        port = server.stdout.readline().strip()
        for _ in range(rounds):
            for way in ways:
                command = [sys.executable, __file__, "--measure", way, port]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                figures[way].append(json.loads(done.stdout))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    print("| way | contacts | s | CPU s | late p99 ms | late worst ms | memory MiB |")
    print("|---|---|---|---|---|---|---|")
    for way, runs in figures.items():
        median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(
            f"| {way} | {median['contacts']:,.0f} | {median['seconds']:.2f} | {median['cpu']:.2f} "
            f"| {median['p99']:.1f} | {median['worst']:.1f} | {median['growth']:.0f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="*", default=["kept", "kept bare", "streamed"])
    parser.add_argument("--serve", type=int)
    parser.add_argument("--measure", nargs=2)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
    elif options.measure:
        print(json.dumps(asyncio.run(measure(options.measure[0], int(options.measure[1])))))
    else:
        compare(options.contacts, options.rounds, options.ways)
