"""polars as one would try it: rows as dicts, then `pl.DataFrame`, all rows looked at for keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import polars as pl
from ids import Ids
from job import Job

from peers import rows


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[pl.DataFrame]]]:
    """Yield a function that pulls the whole list into a frame."""
    async with rows.open_pull(job) as pull_rows:

        async def pull() -> pl.DataFrame:
            # By default only the first 100 rows are looked at, and keys of later ones are dropped.
            frame = pl.DataFrame(await pull_rows(), infer_schema_length=None)
            times = pl.col("created_at", "last_attempt_at")
            return frame.with_columns(times.str.to_datetime(time_zone="UTC"))

        yield pull


def ids(frame: pl.DataFrame) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(frame["id"].to_list())
