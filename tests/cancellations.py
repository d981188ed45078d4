"""Pulls that end early at random moments: cancelled, broken out of, or timed out.

Run it with ``python tests/cancellations.py``: 10,000 cancelled tasks, 1,000 breaks and 1,000
deadlines over real connections, for each of the default client, TLS, and an httpx client of
the user's. After each thousand endings, as many concurrent requests as there are
slots must succeed; at the end no task, file descriptor or connection may be left. For each run
that fails, the command that replays it is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import ssl
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import anyio
import attrs
import httpx
import trustme
from faults import FaultServer
from pages import KEY
from wire import connection_pool_of

from aioburki import BurkiClient

TOTAL = 400
PER_PAGE = 20
CONCURRENCY = 16
CONCURRENT_PULLS = 25
MAX_DELAY = 0.03  # seconds
VARIANTS = ("default", "TLS", "http_client")
KINDS = {"cancellation": 10_000, "break": 1_000, "deadline": 1_000}

Use = Callable[[BurkiClient], Awaitable[None]]


async def use_await(burki: BurkiClient) -> None:
    while True:
        await burki.contacts(42, per_page=PER_PAGE)


async def use_iterate(burki: BurkiClient) -> None:
    while True:
        async for _ in burki.contacts(42, per_page=PER_PAGE):
            pass


async def use_pages(burki: BurkiClient) -> None:
    while True:
        async for _ in burki.contacts(42, per_page=PER_PAGE).pages():
            await asyncio.sleep(0)


async def use_stream(burki: BurkiClient) -> None:
    while True:
        async with burki.contacts(42, per_page=PER_PAGE).stream() as stream:
            async for _ in stream:
                pass


async def use_count(burki: BurkiClient) -> None:
    while True:
        await burki.contacts(42).count()


USES: tuple[Use, ...] = (use_await, use_iterate, use_pages, use_stream, use_count)


async def break_out(burki: BurkiClient, draw: random.Random) -> None:
    """Leave a pull early, by a ``break`` or an exception in its loop."""
    last_id = draw.randrange(1, 4 * PER_PAGE)
    contacts = burki.contacts(42, per_page=PER_PAGE, limit=6 * PER_PAGE)
    match draw.randrange(4):
        case 0:
            async for each in contacts:
                if each.id >= last_id:
                    break
        case 1:
            async for page in contacts.pages():
                if page.contacts[-1].id >= last_id:
                    break
        case 2:
            async with contacts.stream() as stream:
                async for each in stream:
                    if each.id >= last_id:
                        break
        case _:
            with suppress(KeyError):
                async for each in contacts:
                    if each.id >= last_id:
                        raise KeyError


async def time_out(burki: BurkiClient, draw: random.Random) -> None:
    """End a pull by a deadline, or by a sibling in a task group that fails."""
    seconds, use = draw.random() * MAX_DELAY, draw.choice(USES)
    match draw.randrange(5):
        case 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await use(burki)
        case 1:
            with suppress(TimeoutError):
                await asyncio.wait_for(use(burki), seconds)
        case 2:
            with suppress(TimeoutError), anyio.fail_after(seconds):
                await use(burki)
        case 3:
            with anyio.move_on_after(seconds):
                await use(burki)
        case _:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_use(use, burki))
                    group.create_task(_fail(seconds))
            except* KeyError:
                pass


async def _use(use: Use, burki: BurkiClient) -> None:
    await use(burki)


async def _fail(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise KeyError


async def cancel(burki: BurkiClient, draw: random.Random) -> None:
    """Cancel a pull at a random moment, sometimes again during its clean-up.

    Raises:
        RuntimeError: the pull ended in another way than by CancelledError.
    """
    task = asyncio.create_task(_use(draw.choice(USES), burki))
    await asyncio.sleep(draw.random() * MAX_DELAY)
    for _ in range(draw.choice([1, 1, 2, 4])):
        task.cancel()
        await asyncio.sleep(draw.choice([0, 0, 0.0005]))
    await asyncio.wait((task,))
    if not task.cancelled():
        raise RuntimeError(f"the cancellation was swallowed: {task.exception()!r}")


ENDINGS: dict[str, Callable[[BurkiClient, random.Random], Awaitable[None]]] = {
    "cancellation": cancel,
    "break": break_out,
    "deadline": time_out,
}


@attrs.define
class CancellationRun:
    """Many early endings of one kind over one kind of client."""

    faults: FaultServer
    variant: str
    kind: str
    number: int
    seed: int
    problems: list[str] = attrs.field(factory=list)

    def run(self) -> list[str]:
        """Run all endings in a new event loop; return what is wrong."""
        descriptors = len(os.listdir("/proc/self/fd"))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(self._run(Path(folder)))
            gc.collect()
        self.problems += [str(warning.message) for warning in warned]
        if (open_now := len(os.listdir("/proc/self/fd"))) > descriptors:
            self.problems.append(f"{open_now - descriptors} file descriptors are left open")
        return self.problems

    async def _run(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.problems.append(str(context)))
        draw = random.Random(f"{self.seed} {self.variant} {self.kind}")
        authority = trustme.CA()
        tls = _issue_certificate(authority, folder) if self.variant == "TLS" else None
        self.faults.listen(total=TOTAL, latency=0.002, tls=tls)
        async with AsyncExitStack() as stack:
            burki = await self._client(stack, authority)
            for finished in range(0, self.number, CONCURRENT_PULLS):
                await asyncio.gather(
                    *(ENDINGS[self.kind](burki, draw) for _ in range(CONCURRENT_PULLS))
                )
                if finished % 1000 == 0:
                    await self._check(burki)
            await self._check(burki)
        if left := self.faults.connections_left():
            self.problems.append(f"{left} connections are left open on the server's side")

    async def _client(self, stack: AsyncExitStack, authority: trustme.CA) -> BurkiClient:
        http: httpx.AsyncClient | None = None
        if self.variant == "http_client":
            limits = httpx.Limits(
                max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY
            )
            http = await stack.enter_async_context(httpx.AsyncClient(limits=limits))
        burki = BurkiClient(
            KEY, base_url=self.faults.url, concurrency=CONCURRENCY, http_client=http
        )
        if http is None:
            context = ssl.create_default_context()
            authority.configure_trust(context)
            connection_pool_of(burki)._context = context
        return await stack.enter_async_context(burki)

    async def _check(self, burki: BurkiClient) -> None:
        """Check that no task is left and that a request succeeds in every slot."""
        for _ in range(20):  # the loop turns that a `break` needs
            await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if "aioburki" in task.get_name()]
        if left or burki._running:
            self.problems.append(f"{len(left)} tasks and {len(burki._running)} pulls are left")
        contacts = burki.contacts(42, per_page=PER_PAGE)
        try:
            async with asyncio.timeout(20):
                counts = await asyncio.gather(*(contacts.count() for _ in range(CONCURRENCY)))
                pulled = await contacts
        except TimeoutError:
            self.problems.append("a slot is stuck: requests got no response in 20 s")
            return
        if set(counts) != {TOTAL} or [each.id for each in pulled] != list(range(1, TOTAL + 1)):
            self.problems.append("a pull after the endings returned wrong contacts")
        if self.faults.state()["open"] > CONCURRENCY:
            self.problems.append("more connections are open than there are slots")

    def replay_command(self) -> str:
        """Return the command that repeats this run."""
        return (
            f"{sys.executable} tests/cancellations.py --variant {self.variant} "
            f"--kind {self.kind} --number {self.number} --seed {self.seed}"
        )


def _issue_certificate(authority: trustme.CA, folder: Path) -> dict[str, str]:
    issued = authority.issue_cert("localhost")
    files = {"certificate": str(folder / "chain.pem"), "key": str(folder / "key.pem")}
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    Path(files["certificate"]).write_bytes(chain)
    issued.private_key_pem.write_to_path(files["key"])
    return files


def main() -> int:
    """Do the runs given on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults, failed = FaultServer(), 0
    for variant in VARIANTS if options.variant is None else (options.variant,):
        for kind in KINDS if options.kind is None else (options.kind,):
            number = KINDS[kind] if options.number is None else options.number
            run, start = (
                CancellationRun(faults, variant, kind, number, options.seed),
                time.monotonic(),
            )
            problems = run.run()
            took = time.monotonic() - start
            print(f"{variant}: {number:,} times {kind}: {len(problems)} problems, {took:.0f} s")
            for problem in dict.fromkeys(problems):
                print(f"  {problem}")
            if problems:
                failed += 1
                print(f"  replay: {run.replay_command()}", flush=True)
    faults.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
