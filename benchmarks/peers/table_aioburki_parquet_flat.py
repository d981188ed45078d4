"""aioburki, a Parquet file with a column for each key: ``export_parquet(…, flatten=True)``."""

from __future__ import annotations

from functools import partial

from . import table_aioburki_parquet
from .table_aioburki_parquet import ids

__all__ = ["ids", "open_pull"]

open_pull = partial(table_aioburki_parquet.open_pull, flatten=True)
