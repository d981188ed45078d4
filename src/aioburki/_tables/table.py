"""Table: the batches of all rows, joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from .._contact_row import ContactRow
from .batch import contact_batch, contact_schema
from .flat import FlatSchema, flat_batch

# Rows of a batch. While a batch is made, which takes about a millisecond, no other task runs.
ROWS_PER_BATCH = 1000

MakeBatch = Callable[[Sequence[ContactRow]], pa.RecordBatch]


class TableBuilder:
    """Join batches to a table.

    The batches are in no local variable while others are made: error reporters show these, and the
    `repr` of a batch shows its values.
    """

    def __init__(self, *, flatten: bool, flat: FlatSchema | None = None) -> None:
        self.make: MakeBatch = flat_batch if flatten else contact_batch
        self._flat = (flat or FlatSchema()) if flatten else None
        self._batches: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Append *batch*, which `make` has made.

        Raises:
            ResponseDecodeError: there are too many flat columns, or columns that were not given.
        """
        self._batches.append(batch)
        del batch
        if self._flat is not None:
            self._flat.add(self._batches[-1].schema)

    def conform(self) -> Iterator[None]:
        """Conform the flat batches to the final schema, one after each step."""
        if self._flat is not None:
            for index in range(len(self._batches)):
                yield
                self._batches[index] = self._flat.conform(self._batches[index])

    def table(self) -> pa.Table:
        """Return the conformed batches as a table whose chunks have the same dictionaries."""
        schema = contact_schema() if self._flat is None else self._flat.schema
        return pa.Table.from_batches(self._batches, schema).unify_dictionaries()


def table_of(rows: Sequence[ContactRow], *, flatten: bool) -> pa.Table:
    """Return *rows* as a table."""
    builder = TableBuilder(flatten=flatten)
    for start in range(0, len(rows), ROWS_PER_BATCH):
        builder.add(builder.make(rows[start : start + ROWS_PER_BATCH]))
    for _ in builder.conform():
        pass
    return builder.table()
