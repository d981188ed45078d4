"""aioburki, an Arrow table with a column for each key: ``to_arrow(flatten=True)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pyarrow as pa
from ids import Ids
from job import Job

from aioburki import BurkiClient, _tables

assert _tables  # imported here, so that the import is no part of the pull


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[pa.Table]]]:
    """Yield a function that pulls the whole list into a table."""
    async with BurkiClient(job.key, base_url=job.base_url, concurrency=job.in_flight) as burki:

        async def pull() -> pa.Table:
            return await burki.contacts(42, per_page=job.per_page).to_arrow(flatten=True)

        yield pull


def ids(table: pa.Table) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(table["id"].to_pylist())
