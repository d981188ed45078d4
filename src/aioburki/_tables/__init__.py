"""Tables: contacts as Arrow columns. The only room that imports pyarrow, pandas and polars.

It is imported when the first table is made, never with the package.

`contact_batch` makes a batch of rows or contacts, in the one schema of `contact_schema`.
`flat_batch` makes one with a column for each key of the free-form fields. The keys and types of
such batches vary, so each is kept, in memory or on disk, until the last one is there; a
`FlatSchema` that has seen the schemas of all of them then knows the final columns, and conforms
the batches to them one by one.
"""

from __future__ import annotations

from .._extras import named

try:
    from .batch import FREE_FORM, contact_batch, contact_schema
    from .flat import ColumnType, FlatSchema, flat_batch
    from .frames import pandas_frame, polars_frame
    from .parquet import write_flat_parquet, write_parquet
    from .pull import pulled_batches, pulled_columns, pulled_pandas, pulled_polars, pulled_table
    from .table import ROWS_PER_BATCH, table_of
except ModuleNotFoundError as error:
    raise named(error) from None

__all__ = [
    "FREE_FORM",
    "ROWS_PER_BATCH",
    "ColumnType",
    "FlatSchema",
    "contact_batch",
    "contact_schema",
    "flat_batch",
    "pandas_frame",
    "polars_frame",
    "pulled_batches",
    "pulled_columns",
    "pulled_pandas",
    "pulled_polars",
    "pulled_table",
    "table_of",
    "write_flat_parquet",
    "write_parquet",
]
