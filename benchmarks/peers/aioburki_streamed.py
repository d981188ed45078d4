"""aioburki, contacts streamed and not kept: ``async for contact in burki.contacts(42)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ids import Ids
from job import Job

from aioburki import BurkiClient


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[Ids]]]:
    """Yield a function that pulls the list; adding the ids is part of the measured time."""
    async with BurkiClient(job.key, base_url=job.base_url, concurrency=job.in_flight) as burki:

        async def pull() -> Ids:
            seen = Ids()
            async for contact in burki.contacts(42, per_page=job.per_page):
                seen.add(contact.id)
            return seen

        yield pull


def ids(seen: Ids) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return seen
