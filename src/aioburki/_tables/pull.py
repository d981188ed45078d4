"""Pull: the rows of a list as batches and tables, without making `Contact` objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pyarrow as pa

from .._contact_row import ContactRow
from .._list_reader import ListReader, StartedPull
from .batch import contact_batch, contact_schema
from .flat import flat_batch
from .table import ROWS_PER_BATCH, MakeBatch, flat_schema, joined


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


async def pulled_table(reader: ListReader[ContactRow], *, flatten: bool) -> pa.Table:
    """Pull all rows of *reader* and return them as a table."""
    pulled = pulled_batches(reader.start(), flat_batch if flatten else contact_batch)
    async with aclosing(pulled):
        batches = [batch async for batch in pulled]
    if not flatten:
        return joined(batches, contact_schema())
    flat = flat_schema(batches)
    for index, batch in enumerate(batches):
        await asyncio.sleep(0)
        batches[index] = flat.conform(batch)
    return joined(batches, flat.schema)
