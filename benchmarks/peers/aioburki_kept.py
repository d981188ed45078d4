"""aioburki, all contacts kept in a list: ``await burki.contacts(42)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ids import Ids
from job import Job

from aioburki import BurkiClient, ContactList


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[ContactList]]]:
    """Yield a function that pulls the whole list."""
    async with BurkiClient(job.key, base_url=job.base_url, concurrency=job.in_flight) as burki:

        async def pull() -> ContactList:
            return await burki.contacts(42, per_page=job.per_page)

        yield pull


def ids(contacts: ContactList) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact.id for contact in contacts)
