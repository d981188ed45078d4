"""aioburki, an Arrow table of dicts: ``pa.Table.from_pylist(to_dict(await …))``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pyarrow as pa
from ids import Ids
from job import Job

from aioburki import BurkiClient, to_dict

pa.array([])  # imports pandas if it is installed; here it is no part of the pull


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[pa.Table]]]:
    """Yield a function that pulls the whole list into a table."""
    async with BurkiClient(job.key, base_url=job.base_url, concurrency=job.in_flight) as burki:

        async def pull() -> pa.Table:
            contacts = await burki.contacts(42, per_page=job.per_page)
            return pa.Table.from_pylist(to_dict(contacts))

        yield pull


def ids(table: pa.Table) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(table["id"].to_pylist())
