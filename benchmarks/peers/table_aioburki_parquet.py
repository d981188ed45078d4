"""aioburki, a Parquet file: ``await export_parquet(burki.contacts(42), …)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ids import Ids
from job import Job

from aioburki import BurkiClient
from aioburki.export import export_parquet

FOLDER = TemporaryDirectory()  # removed when the process ends


@asynccontextmanager
async def open_pull(
    job: Job, *, flatten: bool = False
) -> AsyncIterator[Callable[[], Awaitable[Path]]]:
    """Yield a function that pulls the whole list into a file; pyarrow is imported by the pull."""
    target = Path(FOLDER.name) / "contacts.parquet"
    async with BurkiClient(job.key, base_url=job.base_url, concurrency=job.in_flight) as burki:

        async def pull() -> Path:
            contacts = burki.contacts(42, per_page=job.per_page)
            await export_parquet(contacts, target, flatten=flatten)
            return target

        yield pull


def ids(target: Path) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - part of what is measured

    return Ids(pq.read_table(target, columns=["id"])["id"].to_pylist())
