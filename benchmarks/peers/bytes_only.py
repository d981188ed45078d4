"""The requests of the expert's client without decoding: the upper bound of server and network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from ids import Ids
from job import Job


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[bytes]]]]:
    """Yield a function that pulls the whole list."""
    slots = asyncio.Semaphore(job.in_flight)
    connector = aiohttp.TCPConnector(limit=job.in_flight)
    async with aiohttp.ClientSession(
        job.base_url, headers=job.headers, connector=connector, read_bufsize=2**20
    ) as session:

        async def fetch(number: int) -> bytes:
            url = f"{job.path}?page={number}&per_page={job.per_page}"
            async with slots, session.get(url, raise_for_status=True) as response:
                return await response.read()

        async def pull() -> list[bytes]:
            first = await fetch(1)
            total = json.loads(first)["pagination"]["total_pages"]
            rest = await asyncio.gather(*(fetch(number) for number in range(2, total + 1)))
            return [first, *rest]

        yield pull


def ids(bodies: list[bytes]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact["id"] for body in bodies for contact in json.loads(body)["contacts"])
