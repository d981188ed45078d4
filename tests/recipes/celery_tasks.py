"""Pull a campaign with Celery: a task for each range, in the processes of a prefork worker.

Run it with ``python tests/recipes/celery_tasks.py``. It starts a worker as ``celery -A celery_tasks
worker`` does, with a folder as the broker. A task makes its client in `asyncio.run`, and closes it
there: an event loop and a client belong to one process. The worker reads BURKI_API_KEY and
BURKI_BASE_URL; the text of a range, which the broker sees, holds ids and times only.
"""

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from celery import Celery

from aioburki import BurkiClient, BurkiError, ConfigurationError
from aioburki.sandbox import Sandbox, serve

app = Celery("contacts")
app.conf.task_acks_late = True  # the task of a worker that dies is given to another one
app.conf.worker_prefetch_multiplier = 1


def connect(folder: str) -> None:
    """Use a folder as the broker; in production set CELERY_BROKER_URL instead."""
    app.conf.update(broker_url="filesystem://", result_backend=f"file://{folder}")
    names = ("data_folder_in", "data_folder_out", "control_folder")
    app.conf.broker_transport_options = dict.fromkeys(names, folder) | {"polling_interval": 0.1}


if "QUEUE_FOLDER" in os.environ:
    connect(os.environ["QUEUE_FOLDER"])


@app.task(  # type: ignore[untyped-decorator]  # celery has no types
    name="pull",
    autoretry_for=(BurkiError,),  # a range is complete by itself, however often it is read
    dont_autoretry_for=(ConfigurationError,),
    max_retries=3,
)
def pull(part: str) -> list[int]:
    """Pull a range, and return the ids of its contacts."""
    logging.getLogger("aioburki").setLevel(logging.ERROR)  # no warning that the list moved
    return asyncio.run(ids_of(part))


async def ids_of(part: str) -> list[int]:
    """Do the work of a task."""
    async with BurkiClient() as burki:
        contacts = await burki.contacts(part)
    contacts.report.raise_if_incomplete()
    return [contact.id for contact in contacts]


async def divide() -> list[str]:
    """Return the ranges of campaign 42 as texts."""
    async with BurkiClient() as burki:
        return [str(part) for part in await burki.contacts(42).split(4)]


def work_off(parts: list[str]) -> list[list[int]]:
    """Start a worker, and return what its tasks return."""
    # Without its warning if it runs as root, as in a container.
    python = [sys.executable, "-W", "ignore"]
    celery = ["-m", "celery", "--quiet", "-A", "celery_tasks", "worker"]
    options = ["--concurrency", "2", "--loglevel", "ERROR"]
    with subprocess.Popen(
        [*python, *celery, *options], cwd=Path(__file__).parent, stdout=subprocess.DEVNULL
    ) as worker:
        try:
            results = [pull.delay(part) for part in parts]
            return [result.get(timeout=60) for result in results]
        finally:
            worker.kill()  # terminate() would let running tasks end, which takes seconds


async def main() -> None:
    """Pull 10,000 contacts, of which three are deleted with each request, with two processes."""
    sandbox = Sandbox(10_000, drift={"delete": 3})
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(sandbox, 0, url.set_result))
    os.environ |= {"BURKI_BASE_URL": await url, "BURKI_API_KEY": "any"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QUEUE_FOLDER"] = folder
        connect(folder)
        done = await asyncio.to_thread(work_off, await divide())
    server.cancel()
    ids = [each for part in done for each in part]
    print(len(done), "tasks, each proved complete")
    print("all lasting contacts:", set(sandbox.ids()) <= set(ids))
    print("each once:", len(ids) == len(set(ids)))


if __name__ == "__main__":
    asyncio.run(main())
