"""aioburki, everything kept: ``await burki.contacts(42)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ids import Ids
from job import Job

from aioburki import BurkiClient, ContactList


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[], Awaitable[ContactList]]]:
    """Yield the pull."""
    async with BurkiClient(job.key, base_url=job.base_url, concurrency=job.in_flight) as burki:

        async def pull() -> ContactList:
            return await burki.contacts(42, per_page=job.per_page)

        yield pull


def ids(contacts: ContactList) -> Ids:
    """Return the ids that came."""
    return Ids(contact.id for contact in contacts)
