"""Kills: exports with ``--resume`` that are killed at random moments while their list moves.

    python tests/kills.py [--kills 200] [--seed 0]

Each job is one export: ``aioburki contacts 42 -o FILE --resume`` is started again and again,
against a sandbox over HTTP, and killed with SIGKILL: after some request, after some time, or while
the file is written. Then it may end. The file must hold every contact that was in the list
throughout, once, as one pull has it, and nothing may be left beside it. The seed of a job fixes its
list, its moves and when it is killed, as far as the timing of processes allows.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pyarrow.parquet as pq

from aioburki import BurkiClient
from aioburki.export import export_csv, export_jsonl, export_parquet
from aioburki.sandbox import Sandbox
from aioburki.sandbox._http_server import serve_http
from aioburki.sandbox._response import SandboxResponse

KILLS_OF_A_JOB = 12
CONTACTS = 2_000
PER_PAGE = 25
STATUS = "pending"
MAX_SECONDS = 60.0  # for one process
EXPORTS: dict[str, Any] = {
    ".csv": export_csv,
    ".jsonl": export_jsonl,
    ".parquet": export_parquet,
}


class MovingSandbox(Sandbox):
    """A sandbox whose list moves with every request until it is told to stand still.

    In a ``"draining"`` one contacts leave the status that is asked for, and some come back; in a
    ``"shrinking"`` one contacts are deleted and added; a ``"still"`` one never moves.
    """

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__(CONTACTS, seed=seed, latency=0.01)
        self.kind = kind
        self.is_moving = kind != "still"
        self._draw = random.Random(seed)
        self._listed = list(range(101, 101 + CONTACTS))
        self._left: list[int] = []
        if kind == "draining":
            for contact_id in self._listed:
                self.set_status(contact_id, STATUS)
        self.lasting = set(self._listed)

    async def answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> SandboxResponse:
        if self.is_moving and len(self._listed) > CONTACTS // 3:
            self._move()
        return await super().answer(method, path, query, headers)

    def _move(self) -> None:
        # Half of the moves are near the start, in front of what was read.
        last = len(self._listed) - 1
        gone = self._listed.pop(self._draw.randint(0, self._draw.choice((last // 10, last))))
        self.lasting.discard(gone)
        if self.kind == "shrinking":
            self.remove(gone)
            self.add(self._draw.randint(0, 1))
            return
        self.set_status(gone, "completed")
        self._left.append(gone)
        if self._draw.random() < 0.3:
            self.set_status(self._left.pop(self._draw.randrange(len(self._left))), STATUS)


@contextmanager
def serving(sandbox: Sandbox) -> Iterator[str]:
    """Serve *sandbox* over HTTP in a thread, and yield its URL."""
    url: list[str] = []
    is_ready = threading.Event()

    def announce(at: str) -> None:
        url.append(at)
        is_ready.set()

    loop = asyncio.new_event_loop()
    task = loop.create_task(serve_http(sandbox, 0, announce))

    def serve() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert is_ready.wait(30)
        yield url[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


@attrs.define
class Job:
    """One export that is killed, and what came of it.

    Attributes:
        seed: fixes the list, its moves and the moments of the kills.
        suffix: of the file, a key of `EXPORTS`.
        kind: of the sandbox.
        kills: how often it is to be killed.
        killed: how often it was killed, by what it was doing.
        problems: what is wrong with the file.
        report: the last line that the command has printed.
    """

    seed: int
    suffix: str
    kind: str
    kills: int = KILLS_OF_A_JOB
    killed: dict[str, int] = attrs.field(factory=dict)
    problems: list[str] = attrs.field(factory=list)
    report: str = ""

    @classmethod
    def drawn(cls, seed: int, kills: int = KILLS_OF_A_JOB) -> Job:
        """Return the job of *seed*."""
        draw = random.Random(seed)
        kind = draw.choice(("draining", "shrinking", "still"))
        return cls(seed, draw.choice([*EXPORTS]), kind, kills)

    def run(self, folder: Path) -> None:
        """Export to *folder*, which is empty, with kills, and check the file."""
        sandbox = MovingSandbox(self.kind, self.seed)
        target = folder / f"contacts{self.suffix}"
        with serving(sandbox) as url:
            draw = random.Random(self.seed)
            while sum(self.killed.values()) < self.kills:
                is_last = sum(self.killed.values()) == self.kills - 1
                if not self._start_and_kill(url, sandbox, target, draw, is_last=is_last):
                    break  # it has ended before
            else:
                with self._started(url, target) as process:
                    self._end(process)
        sandbox.is_moving = False
        self._check(sandbox, target)

    def _start_and_kill(
        self, url: str, sandbox: Sandbox, target: Path, draw: random.Random, *, is_last: bool
    ) -> bool:
        """Start the command and kill it; return False if it ends before."""
        part = target.with_name(f".{target.name}.aioburki-part")
        before, start = sandbox.requests, time.monotonic()
        requests, seconds = draw.randint(1, 9), draw.uniform(0, 0.01)
        moment = "writing" if is_last else draw.choice(("time", *("requests",) * 5))
        deadline, spares_writing = draw.uniform(0, 1.2), draw.random() < 0.5
        with self._started(url, target) as process:
            while process.poll() is None:
                if part.exists() and not spares_writing:
                    moment = "writing"
                is_due = {
                    "time": time.monotonic() - start > deadline,
                    "requests": sandbox.requests - before >= requests,
                    "writing": part.exists(),
                }[moment]
                if is_due:
                    time.sleep(seconds)  # the command is another process, with a real clock
                    process.kill()
                    process.wait()
                    break
                time.sleep(0.0005)  # a process does not tell how far it is; this looks again
            if process.returncode == -signal.SIGKILL:
                self.killed[moment] = self.killed.get(moment, 0) + 1
                process.communicate()
                return True
            self._end(process)
            return False

    def _started(self, url: str, target: Path) -> subprocess.Popen[str]:
        status = ["--status", STATUS] if self.kind == "draining" else []
        command = [
            sys.executable, "-m", "aioburki", "contacts", "42", "-o", str(target), "--resume",
            "--require-complete", "--concurrency", "4", "--per-page", str(PER_PAGE), *status,
        ]  # fmt: skip
        environment = os.environ | {"BURKI_BASE_URL": url, "BURKI_API_KEY": "any"}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def _end(self, process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(timeout=MAX_SECONDS)
        if process.returncode:
            self.problems.append(f"exit code {process.returncode}: {err}")
        self.report = out.strip().rpartition("\n")[2]

    def _check(self, sandbox: MovingSandbox, target: Path) -> None:
        if self.problems:
            return
        left = set(os.listdir(target.parent)) - {target.name}
        if left:
            self.problems.append(f"left beside the file: {sorted(left)}")
        once = target.with_name(f"once{self.suffix}")
        asyncio.run(self._export_once(sandbox, once))
        rows, expected = rows_of(target), rows_of(once)
        ids = [row["id"] for row in rows]
        if len(set(ids)) < len(ids):
            self.problems.append("a contact comes twice")
        lasting = {str(contact_id) for contact_id in sandbox.lasting}
        if lost := lasting - set(ids):
            self.problems.append(f"{len(lost)} contacts are lost")
        if [row for row in rows if row["id"] in lasting] != [
            row for row in expected if row["id"] in lasting
        ]:
            self.problems.append("the rows are not those of one pull, or in another order")
        is_same = target.read_bytes() == once.read_bytes()
        if self.suffix == ".parquet":  # its metadata have times
            is_same = rows == expected
        if self.kind == "still" and not is_same:
            self.problems.append("the file is not that of one pull")

    async def _export_once(self, sandbox: Sandbox, target: Path) -> None:
        status = STATUS if self.kind == "draining" else None
        async with BurkiClient("any", transport=sandbox.transport) as burki:
            await EXPORTS[self.suffix](burki.contacts(42, status=status), target)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, with their ids as text."""
    if path.read_bytes().startswith(b"PAR1"):
        table = pq.read_table(path).to_pylist()
        return [row | {"id": str(row["id"])} for row in table]
    text = path.read_bytes().decode()
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    rows = [json.loads(line) for line in text.splitlines()]
    return [row | {"id": str(row["id"])} for row in rows]


def jobs_of(kills: int, seed: int, **changes: Any) -> Iterator[Job]:
    """Yield jobs, when they have run, until so many processes were killed."""
    while kills > 0:
        job = attrs.evolve(Job.drawn(seed, min(kills, KILLS_OF_A_JOB)), **changes)
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            job.run(Path(folder))
        yield job
        kills -= sum(job.killed.values())
        seed += 1


def main() -> int:
    """Run jobs until so many processes were killed; return the exit code."""
    parser = argparse.ArgumentParser(description="Kill exports with --resume at random moments.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    killed: dict[str, int] = {}
    bad = jobs = 0
    start = time.monotonic()
    for job in jobs_of(options.kills, options.seed):
        jobs += 1
        for moment, count in job.killed.items():
            killed[moment] = killed.get(moment, 0) + count
        print(f"seed {job.seed}: {job.kind}, {job.suffix}, {sum(job.killed.values())} kills:",
              "; ".join(job.problems) or job.report, flush=True)  # fmt: skip
        if job.problems:
            bad += 1
            print(f"  replay: python tests/kills.py --kills {job.kills} --seed {job.seed}")
    print(f"{sum(killed.values())} kills ({killed}) of {jobs} exports in "
          f"{time.monotonic() - start:.0f} s, {bad} of them wrong")  # fmt: skip
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
