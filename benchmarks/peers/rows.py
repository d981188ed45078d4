"""What is written first: `asyncio.gather` over aiohttp and `response.json()`, rows as dicts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from ids import Ids
from job import Job

Row = dict[str, Any]


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Row]]]]:
    """Yield a function that pulls the whole list."""
    slots = asyncio.Semaphore(job.in_flight)
    async with aiohttp.ClientSession(job.base_url, headers=job.headers) as session:

        async def fetch(number: int) -> dict[str, Any]:
            url = f"{job.path}?page={number}&per_page={job.per_page}"
            async with slots, session.get(url, raise_for_status=True) as response:
                page: dict[str, Any] = await response.json()
            return page

        async def pull() -> list[Row]:
            first = await fetch(1)
            total = first["pagination"]["total_pages"]
            rest = await asyncio.gather(*(fetch(number) for number in range(2, total + 1)))
            return [row for page in (first, *rest) for row in page["contacts"]]

        yield pull


def ids(rows: list[Row]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(row["id"] for row in rows)
