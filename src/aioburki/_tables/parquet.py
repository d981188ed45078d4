"""Parquet: batches to a file in row groups, with metadata that is known at the end.

Reporters of errors show local variables, and a batch shows its values. So no batch is in a local
variable where a file is written or a page awaited, and errors lose the frames of pyarrow.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa

from .batch import contact_schema
from .flat import FlatSchema

# A row group is written when it has so many rows, or takes so much memory. Meanwhile, for some ten
# milliseconds, no other task runs. In a thread of its own, which has a heap of its own, writing
# would add 40 MiB to what the process takes.
ROWS_PER_GROUP = 16_384
MAX_GROUP_BYTES = 4 * 2**20


async def write_parquet(
    batches: AsyncGenerator[pa.RecordBatch, None],
    file: IO[bytes],
    metadata: Callable[[], Mapping[str, str]],
) -> None:
    """Write *batches* in the `contact_schema` to *file*.

    Args:
        batches: the batches; they are closed at the end.
        file: an open file, which is not closed.
        metadata: called behind the last batch; returns the key/value metadata of the file.

    Raises:
        OSError: the file cannot be written.
    """
    with _RowGroups(file, contact_schema()) as groups:
        await _add_all(batches, groups.add)
        groups.finish(metadata())


async def write_flat_parquet(
    batches: AsyncGenerator[pa.RecordBatch, None],
    file: IO[bytes],
    metadata: Callable[[], Mapping[str, str]],
    folder: Path,
) -> None:
    """Write *batches* that `flat_batch` has made to *file*; see `write_parquet`.

    They are kept in an unnamed file in *folder* until the columns of the last one are known.

    Raises:
        OSError: a file cannot be written.
        ResponseDecodeError: there are more columns than a table can have.
    """
    with tempfile.TemporaryFile("w+b", dir=folder) as temporary:
        kept = _KeptBatches(temporary)
        await _add_all(batches, kept.add)
        with _RowGroups(file, kept.schema) as groups:
            await _add_all(kept.conformed(), groups.add)
            groups.finish(metadata())


class _RowGroups:
    """Write batches to a Parquet file, some ten thousand rows at a time.

    Args:
        file: an open file.
        schema: of all batches.
    """

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - most tables are not written

        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # after an error, which says more; else it is closed
            self._writer.close()
        self._writer.is_open = False  # or it would be closed again when it is collected

    def add(self, batch: pa.RecordBatch) -> None:
        """Write *batch* when there are enough rows for a row group."""
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        self._held.append(batch)
        del batch
        if self._rows >= ROWS_PER_GROUP or self._bytes >= MAX_GROUP_BYTES:
            self._write()

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write the last row group and the metadata."""
        if self._held:
            self._write()
        self._writer.add_key_value_metadata(dict(metadata))
        self._writer.close()

    def _write(self) -> None:
        try:
            self._writer.write_table(
                pa.Table.from_batches(self._held, self._schema).unify_dictionaries(), self._rows
            )
        except Exception as error:  # noqa: BLE001 - raised again without frames that hold rows
            raise error.with_traceback(None) from None
        self._held.clear()
        self._rows = self._bytes = 0
        pa.default_memory_pool().release_unused()


class _KeptBatches:
    """Keep batches of different columns in a file, each as an Arrow stream of its own.

    Args:
        file: an open file, which is empty.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._flat = FlatSchema()
        self._count = 0

    @property
    def schema(self) -> pa.Schema:
        """The columns of all batches that are kept."""
        return self._flat.schema

    def add(self, batch: pa.RecordBatch) -> None:
        """Write *batch* to the file."""
        try:
            self._flat.add(batch.schema)
            with pa.ipc.new_stream(self._file, batch.schema) as stream:
                stream.write_batch(batch)
            self._file.flush()
        except Exception as error:  # noqa: BLE001 - raised again without the batch
            del batch
            raise error.with_traceback(None) from None
        self._count += 1

    async def conformed(self) -> AsyncGenerator[pa.RecordBatch, None]:
        """Yield the batches that are kept, in the `schema`."""
        self._file.seek(0)
        for _ in range(self._count):
            with pa.ipc.open_stream(self._file) as stream:
                for conformed in map(self._flat.conform, stream):
                    yield conformed
            await asyncio.sleep(0)


async def _add_all(
    batches: AsyncGenerator[pa.RecordBatch, None], add: Callable[[pa.RecordBatch], None]
) -> None:
    async with aclosing(batches):
        with suppress(StopAsyncIteration):
            while True:
                add(await anext(batches))
