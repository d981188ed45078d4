"""Partition: a range of contacts as a data frame, or only its columns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import pandas as pd
import pyarrow as pa

from .._contacts import Contacts
from .._errors import BurkiError, IncompletePullError
from .._range import ContactRange
from .._tables import (
    ColumnType,
    FlatSchema,
    contact_schema,
    pandas_frame,
    pulled_columns,
    pulled_table,
)
from ._clients import Clients, received
from ._task import run

T = TypeVar("T")


@attrs.frozen
class ReadPartition:
    """The function of a task: pull a range as a data frame.

    Attributes:
        clients: makes the client.
        columns: the flat columns; None for a frame that is not flattened.
        token: text that no other reading has, so that Dask takes no result of an earlier one.
    """

    clients: Clients
    columns: Mapping[str, ColumnType] | None
    token: str

    def __call__(self, part: ContactRange, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the contacts of *part*, or these of their columns.

        Raises:
            IncompletePullError: it is not proved that these are all.
            BurkiError: the pull has failed.
        """

        async def main() -> pa.Table:
            return await _pulled(self.clients, part, self._table)

        frame = pandas_frame(run(main))
        return frame if columns is None else frame[list(columns)]

    def empty(self) -> pd.DataFrame:
        """Return a frame without rows, of the columns and types of every partition."""
        schema = contact_schema() if self._flat is None else self._flat.schema
        return pandas_frame(schema.empty_table())

    @property
    def _flat(self) -> FlatSchema | None:
        return None if self.columns is None else FlatSchema.fixed(self.columns)

    async def _table(self, contacts: Contacts) -> pa.Table:
        started = contacts.rows.start()
        flat = self._flat
        table = await pulled_table(started, flatten=flat is not None, flat=flat)
        try:
            started.report().raise_if_incomplete()
        except IncompletePullError:
            del table  # error reporters show local variables
            raise
        return table


@attrs.frozen
class FindColumns:
    """The function of a task: pull a range, and return the flat columns that it needs."""

    clients: Clients

    def __call__(self, part: ContactRange) -> FlatSchema:
        """Return the columns of the contacts of *part*.

        Raises:
            BurkiError: the pull has failed.
        """

        async def find(contacts: Contacts) -> FlatSchema:
            return await pulled_columns(contacts.rows.start())

        async def main() -> FlatSchema:
            return await _pulled(self.clients, part, find)

        return run(main)


async def _pulled(
    clients: Clients, part: ContactRange, pull: Callable[[Contacts], Coroutine[Any, Any, T]]
) -> T:
    try:
        async with clients.open() as burki:
            return await pull(burki.contacts(received(part, burki)))
    except BurkiError as error:
        error.message = f"{error.message}, in the partition of {_described(part)}"
        error.campaign_id = part.campaign_id
        raise


def _described(part: ContactRange) -> str:
    """Return which contacts *part* has; ids and times only."""
    order = f" by {part.order}" if part.order else ""
    after = "" if part.after is None else f" after {_key(part.after)}"
    until = "" if part.until is None else f" up to {_key(part.until)}"
    status = "" if part.status is None else f" of status {part.status.value}"
    return f"the contacts{status}{after}{until}{order}" if order else f"all contacts{status}"


def _key(key: Any) -> str:
    return " ".join(str(each) for each in key) if isinstance(key, tuple) else str(key)
