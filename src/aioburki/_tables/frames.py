"""Frames: tables as data frames of pandas and polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def pandas_frame(table: pa.Table) -> pd.DataFrame:
    """Return *table* with Arrow-backed types; no column but the status is copied."""
    import pandas as pd  # noqa: PLC0415 - pandas is the user's own

    # pandas can neither sort columns with a dictionary nor use `.str` on them.
    index = table.schema.get_field_index("status")
    status = table.column(index).cast(pa.string())
    table = table.set_column(index, "status", status)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def polars_frame(table: pa.Table) -> pl.DataFrame:
    """Return *table* as a data frame of polars; the status is categorical."""
    import polars as pl  # noqa: PLC0415 - polars is the user's own

    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # of a table
    return frame
