"""pandas as its documentation has it: rows as dicts, then `pd.json_normalize`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pandas as pd
from ids import Ids
from job import Job

from peers import rows


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[pd.DataFrame]]]:
    """Yield a function that pulls the whole list into a frame with a column for each key."""
    async with rows.open_pull(job) as pull_rows:

        async def pull() -> pd.DataFrame:
            frame = pd.json_normalize(await pull_rows())
            for name in ("created_at", "last_attempt_at"):
                frame[name] = pd.to_datetime(frame[name])
            return frame

        yield pull


def ids(frame: pd.DataFrame) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(frame["id"].tolist())
