"""The example of the API reference in a loop over the pages: `requests`, returns dicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import requests
from ids import Ids
from job import Job


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[dict[str, Any]]]]]:
    """Yield a function that pulls the whole list."""

    async def pull() -> list[dict[str, Any]]:
        contacts: list[dict[str, Any]] = []
        page = total = 1
        while page <= total:
            response = requests.get(  # noqa: ASYNC210 - no other task runs
                job.url,
                headers=job.headers,
                params={"page": page, "per_page": job.per_page},
                timeout=60,
            )
            response.raise_for_status()
            data = response.json()
            contacts.extend(data["contacts"])
            total = data["pagination"]["total_pages"]
            page += 1
        return contacts

    yield pull


def ids(contacts: list[dict[str, Any]]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact["id"] for contact in contacts)
