"""Pull: the rows of a list as batches and tables, without making `Contact` objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from .._contact_row import ContactRow
from .._started_pull import StartedPull
from .batch import contact_batch
from .flat import FlatSchema, flat_batch
from .frames import pandas_frame, polars_frame
from .table import ROWS_PER_BATCH, MakeBatch, TableBuilder

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


async def pulled_batches(
    started: StartedPull[ContactRow], make: MakeBatch = contact_batch
) -> AsyncGenerator[pa.RecordBatch, None]:
    """Yield the rows of a pull as batches of `ROWS_PER_BATCH`, and end the pull.

    Args:
        started: the pull.
        make: makes a batch of rows: `contact_batch` or `flat_batch`.
    """
    rows: list[ContactRow] = []
    async with aclosing(started.pull) as pull:
        while (page := await pull.next_page()) is not None:
            rows += page.items
            while len(rows) >= ROWS_PER_BATCH:
                # No batch is in a local variable: error reporters show these.
                yield make(rows[:ROWS_PER_BATCH])
                del rows[:ROWS_PER_BATCH]
                await asyncio.sleep(0)
        if rows:
            yield make(rows)


async def pulled_table(
    started: StartedPull[ContactRow], *, flatten: bool, flat: FlatSchema | None = None
) -> pa.Table:
    """Return all rows of a pull, which ends then, as a table; of these *flat* columns, if given."""
    builder = await _pulled(started, flatten=flatten, flat=flat)
    return builder.table()


async def pulled_pandas(started: StartedPull[ContactRow], *, flatten: bool) -> pd.DataFrame:
    """Return all rows of a pull, which ends then, as a data frame of pandas."""
    builder = await _pulled(started, flatten=flatten)
    return pandas_frame(builder.table())


async def pulled_polars(started: StartedPull[ContactRow], *, flatten: bool) -> pl.DataFrame:
    """Return all rows of a pull, which ends then, as a data frame of polars."""
    builder = await _pulled(started, flatten=flatten)
    # In a thread, because the columns are copied.
    return await asyncio.to_thread(lambda: polars_frame(builder.table()))


async def pulled_columns(started: StartedPull[ContactRow]) -> FlatSchema:
    """Return the flat columns of all rows of a pull, which ends then; no row is kept."""
    flat = FlatSchema()
    async with aclosing(pulled_batches(started, flat_batch)) as batches:
        async for batch in batches:
            flat.add(batch.schema)
            del batch  # error reporters show local variables
    return flat


async def _pulled(
    started: StartedPull[ContactRow], *, flatten: bool, flat: FlatSchema | None = None
) -> TableBuilder:
    builder = TableBuilder(flatten=flatten, flat=flat)
    async with aclosing(pulled_batches(started, builder.make)) as batches:
        with suppress(StopAsyncIteration):
            while True:  # no batch is in a local variable: see `TableBuilder`
                builder.add(await anext(batches))
    for _ in builder.conform():
        await asyncio.sleep(0)
    return builder
