"""The vendor's own SDK, as its documentation shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from burki import BurkiClient
from ids import Ids
from job import Job


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Any]]]]:
    """Yield the pull."""
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
    """Return the ids that came."""
    return Ids(contact.id for contact in contacts)
