"""A common way: `asyncio.gather` over httpx, then json and cattrs into attrs classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import attrs
import cattrs
import httpx
from cattrs.preconf.json import make_converter
from ids import Ids
from job import Job

from aioburki import ContactStatus


@attrs.define
class Data:
    company: str | None = None
    source: str | None = None
    variable_values: dict[str, Any] = attrs.Factory(dict)
    custom_fields: dict[str, Any] = attrs.Factory(dict)


@attrs.define
class Contact:
    id: int
    phone_number: str
    contact_data: Data
    status: ContactStatus
    attempts: int
    created_at: datetime | None
    last_attempt_at: datetime | None


converter: cattrs.Converter = make_converter()


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Contact]]]]:
    """Yield a function that pulls the whole list."""
    slots = asyncio.Semaphore(job.in_flight)
    async with httpx.AsyncClient(headers=job.headers, timeout=60) as client:

        async def fetch(number: int) -> dict[str, Any]:
            async with slots:
                response = await client.get(
                    job.url, params={"page": number, "per_page": job.per_page}
                )
            response.raise_for_status()
            page: dict[str, Any] = response.json()
            page["contacts"] = converter.structure(page["contacts"], list[Contact])
            return page

        async def pull() -> list[Contact]:
            first = await fetch(1)
            total = first["pagination"]["total_pages"]
            rest = await asyncio.gather(*(fetch(number) for number in range(2, total + 1)))
            return [contact for page in (first, *rest) for contact in page["contacts"]]

        yield pull


def ids(contacts: list[Contact]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact.id for contact in contacts)
