"""Read: campaigns as a Dask data frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex, Unpack, cast, get_args
from uuid import uuid4

import dask.dataframe as dd
from dask.base import compute
from dask.delayed import delayed

from .._errors import ConfigurationError
from .._models import ContactStatus, StatusText
from .._range import ContactRange
from .._tables import FREE_FORM, ColumnType, FlatSchema
from .._validation import flag, requests_per_second, shown, whole_number
from ._clients import ClientOptions, Clients, check_options, sent
from ._partition import FindColumns, ReadPartition
from ._plan import Campaign, listed, planned
from ._task import run


def read_contacts(
    campaigns: Campaign | Iterable[Campaign],
    *,
    status: ContactStatus | StatusText | str | None = None,
    contacts_per_partition: SupportsIndex = 100_000,
    flatten: bool = False,
    columns: Mapping[str, ColumnType] | None = None,
    shared_rate: float | None = None,
    **options: Unpack[ClientOptions],
) -> dd.DataFrame:
    """Return the contacts of campaigns as a Dask data frame; its workers pull them.

    Divides the campaigns at once, with one request for each campaign and one for each partition,
    and returns when that is done, also where an event loop runs (a notebook). The partitions are
    pulled when the frame is computed, each time anew. Each is complete by itself, so that each
    contact that stays in its list throughout is there exactly once, however the list moves; a
    partition that is not proved complete is an error. The index is not unique.

    Each worker reads ``BURKI_API_KEY``, ``BURKI_BASE_URL`` and, with *shared_rate*,
    ``BURKI_REDIS_URL`` from its own environment. No graph holds them.

    Dask ignores `dask.annotate` when a data frame is made; to have failed partitions repeated, say
    so when it is computed: ``frame.compute(retries=2)``. The error of a partition says which range
    of which campaign it is. On a cluster, a partition whose worker is lost is read again, and if
    the computation is cancelled, its pulls end within a second.

    Args:
        campaigns: the number of a campaign, a `ContactRange`, or its text; or several of them.
        status: only contacts of this status; the server filters them.
        contacts_per_partition: about how many contacts a partition has.
        flatten: whether there is a column for each key of the free-form fields, as in
            `Contacts.to_arrow`. All partitions must have the same columns, so without *columns*
            all contacts are pulled once, on the workers, before this function returns, and
            another time when the frame is computed. A contact that meanwhile got a key or a type
            of value for which there is no column raises `ResponseDecodeError`.
        columns: the columns of *flatten* and their types, such as
            ``{"variable_values.name": "string"}``, so that the contacts are pulled only once:
            ``"bool"``, ``"int64"``, ``"double"``, ``"string"``, or ``"json"`` for JSON text of
            any value. A contact with another key or type raises `ResponseDecodeError`; a contact
            without the key has null.
        shared_rate: maximum requests per second over all workers and this process, by a
            `RedisLimiter` whose name is the URL of the server; None for no limit. Needs ``pip
            install 'aioburki[dask,redis]'`` here and on the workers.
        options: arguments of `BurkiClient` such as ``concurrency``; they hold for each task that
            runs. Not ``api_key``, ``http_client``, ``transport``, ``on_event``, ``verify`` and
            ``limiter``.

    Raises:
        ConfigurationError: an argument or a variable cannot be used; a campaign is given twice, or
            ranges of it overlap.
        UnorderedListError: a campaign of more than one partition has no usable order.
        BurkiError: a request failed.
    """
    check_options(cast(dict[str, Any], options))
    campaigns = listed(campaigns)
    size = whole_number("contacts_per_partition", contacts_per_partition, low=1)
    given = _checked_columns(columns, flatten=flag("flatten", flatten))
    clients = Clients(options, requests_per_second("shared_rate", shared_rate))

    async def plan() -> list[ContactRange]:
        async with clients.open() as burki:
            return await planned(burki, campaigns, status, size)

    parts = [sent(part) for part in run(plan)]
    if flatten and given is None:
        given = _found_columns(clients, parts)
    read = ReadPartition(clients, given, uuid4().hex)
    from_map: Any = dd.from_map  # has no types
    frame: dd.DataFrame = from_map(read, parts, meta=read.empty(), label="aioburki-contacts")
    return frame


def _checked_columns(
    columns: Mapping[str, ColumnType] | None, *, flatten: bool
) -> dict[str, ColumnType] | None:
    if columns is None:
        return None
    if not flatten:
        raise ConfigurationError("columns= is for flatten=True")
    if not isinstance(columns, Mapping):
        raise ConfigurationError(
            f"columns must be a mapping of names to types, not {shown(columns)}"
        )
    for name, kind in columns.items():
        if not (isinstance(name, str) and name.partition(".")[0] in FREE_FORM and "." in name):
            fields = ", ".join(f"{field}." for field in FREE_FORM)
            raise ConfigurationError(f"the names in columns= must begin with one of {fields}")
        if kind not in get_args(ColumnType):
            kinds = ", ".join(get_args(ColumnType))
            raise ConfigurationError(f"columns[{name!r}] must be one of {kinds}")
    return dict(columns)


def _found_columns(clients: Clients, parts: list[ContactRange]) -> dict[str, ColumnType]:
    """Return the columns that the contacts of all *parts* need; each is pulled for that."""
    find: Any = delayed(FindColumns(clients), pure=False)
    compute_all: Any = compute  # has no types
    flat = FlatSchema()
    for found in compute_all(*(find(part) for part in parts)):
        flat.merge(found)
    return flat.columns
