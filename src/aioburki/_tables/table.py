"""Table: the batches of all rows, joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from .._contact_row import ContactRow
from .batch import contact_batch, contact_schema
from .flat import FlatSchema, flat_batch

# Rows of a batch. While a batch is made, which takes about a millisecond, no other task runs.
ROWS_PER_BATCH = 1000

MakeBatch = Callable[[Sequence[ContactRow]], pa.RecordBatch]


def table_of(rows: Sequence[ContactRow], *, flatten: bool) -> pa.Table:
    """Return *rows* as a table."""
    make = flat_batch if flatten else contact_batch
    starts = range(0, len(rows), ROWS_PER_BATCH)
    batches = [make(rows[start : start + ROWS_PER_BATCH]) for start in starts]
    if not flatten:
        return joined(batches, contact_schema())
    flat = flat_schema(batches)
    return joined([flat.conform(batch) for batch in batches], flat.schema)


def flat_schema(batches: Sequence[pa.RecordBatch]) -> FlatSchema:
    """Return the schema of all flat *batches*."""
    flat = FlatSchema()
    for batch in batches:
        flat.add(batch.schema)
    return flat


def joined(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Return *batches*, all in *schema*, as a table whose chunks have the same dictionaries."""
    return pa.Table.from_batches(batches, schema).unify_dictionaries()
