"""Measure what one request costs the client, by the connection pool that sends it.

Run it with ``python benchmarks/connections.py``. A server in another process answers with one
small page after 5 ms. The ways are: aioburki's pool under `httpx.AsyncClient`, as a default client
uses it; httpx's own pool; and aioburki's pool without httpx. They take turns, five rounds, each in
a fresh process. The table shows medians of CPU and wall time per request, and their ratio to the
first way at 8 in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time

import httpcore
import httpx

from aioburki._http import ConnectionPool, OwnClient, PoolTransport

WAYS = {
    "ours": "aioburki's pool under httpx",
    "httpx": "httpx's own pool",
    "alone": "aioburki's pool without httpx",
}
IN_FLIGHT = (8, 16, 32, 64)
REQUESTS = 2000
ROUNDS = 5
LATENCY = 0.005


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with the same small body."""
    body = json.dumps({"contacts": [], "padding": "x" * 1000}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(LATENCY)
            writer.write(head.encode() + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve() -> None:
    """Print the port and answer until killed."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def measure(way: str, in_flight: int, port: int) -> tuple[float, float]:
    """Return CPU and wall seconds per request."""
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    pool, url = ConnectionPool(), f"http://127.0.0.1:{port}/"
    if way == "httpx":
        client = httpx.AsyncClient(limits=limits, trust_env=False, timeout=30)
    else:
        client = OwnClient(PoolTransport(pool))

    async def get() -> None:
        if way == "alone":
            request = httpcore.Request("GET", url, headers={"Host": "127.0.0.1"})
            response = await pool.handle_async_request(request)
            await response.aread()
            await response.aclose()
        else:
            await client.get(url)

    async with client:
        numbers = iter(range(REQUESTS))

        async def work() -> None:
            for _ in numbers:
                await get()

        await get()
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        return (
            (time.process_time() - cpu) / REQUESTS,
            (time.perf_counter() - wall) / REQUESTS,
        )


def compare() -> None:
    """Run all ways interleaved and print the table."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    cases = [(way, number) for number in IN_FLIGHT for way in WAYS]
    figures: dict[tuple[str, int], list[tuple[float, float]]] = {case: [] for case in cases}
    try:
        for _ in range(ROUNDS):
            for way, number in cases:
                command = [sys.executable, __file__, "--measure", way, str(number), port]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                cpu, wall = done.stdout.split()
                figures[way, number].append((float(cpu), float(wall)))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    medians = {
        case: [statistics.median(column) for column in zip(*runs, strict=True)]
        for case, runs in figures.items()
    }
    base = medians["ours", 8][0]
    print("| pool | in flight | CPU ms per request | ratio | requests per second |")
    print("|---|---|---|---|---|")
    for (way, number), (cpu, wall) in medians.items():
        print(f"| {WAYS[way]} | {number} | {cpu * 1000:.2f} | {cpu / base:.2f} | {1 / wall:,.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--measure", nargs=3)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.measure:
        way, number, port = options.measure
        print(*asyncio.run(measure(way, int(number), int(port))))
    else:
        compare()
