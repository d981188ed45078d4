"""The vendor's own SDK, used as its documentation shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from burki import BurkiClient
from ids import Ids
from job import Job


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Any]]]]:
    """Yield a function that pulls the whole list."""
    client = BurkiClient(api_key=job.key, base_url=job.base_url)

    async def pull() -> list[Any]:
        contacts: list[Any] = []
        while page := await client.campaigns.get_contacts_async(
            42, skip=len(contacts), limit=job.per_page
        ):
            contacts.extend(page)
        return contacts

    yield pull


def ids(contacts: list[Any]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact.id for contact in contacts)
