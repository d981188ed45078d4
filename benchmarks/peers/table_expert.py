"""An expert's table by hand: aiohttp, msgspec structs without gc, column by column to pyarrow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import chain

import aiohttp
import msgspec
import pyarrow as pa
from ids import Ids
from job import Job

from peers.expert import Pagination


class Data(msgspec.Struct, gc=False):
    company: str | None = None
    source: str | None = None
    variable_values: msgspec.Raw = msgspec.Raw(b"{}")
    custom_fields: msgspec.Raw = msgspec.Raw(b"{}")


class Contact(msgspec.Struct, gc=False):
    id: int
    phone_number: str
    contact_data: Data
    status: str
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class Page(msgspec.Struct):
    contacts: list[Contact]
    pagination: Pagination


SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "phone_number": pa.string(),
        "status": pa.string(),
        "attempts": pa.int32(),
        "created_at": pa.timestamp("us", tz="UTC"),
        "last_attempt_at": pa.timestamp("us", tz="UTC"),
        "company": pa.string(),
        "source": pa.string(),
        "variable_values": pa.string(),
        "custom_fields": pa.string(),
    }
)

pa.array([])  # imports pandas if it is installed; here it is no part of the pull


def table_of(contacts: list[Contact]) -> pa.Table:
    """Return *contacts* as a table; free-form fields as the JSON text that was sent."""
    data = [contact.contact_data for contact in contacts]
    columns = [
        [contact.id for contact in contacts],
        [contact.phone_number for contact in contacts],
        [contact.status for contact in contacts],
        [contact.attempts for contact in contacts],
        [contact.created_at for contact in contacts],
        [contact.last_attempt_at for contact in contacts],
        [each.company for each in data],
        [each.source for each in data],
        [bytes(each.variable_values) for each in data],
        [bytes(each.custom_fields) for each in data],
    ]
    return pa.table(columns, SCHEMA)


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[pa.Table]]]:
    """Yield a function that pulls the whole list into a table."""
    decode = msgspec.json.Decoder(Page).decode
    slots = asyncio.Semaphore(job.in_flight)
    connector = aiohttp.TCPConnector(limit=job.in_flight)
    async with aiohttp.ClientSession(
        job.base_url, headers=job.headers, connector=connector, read_bufsize=2**20
    ) as session:

        async def fetch(number: int) -> Page:
            url = f"{job.path}?page={number}&per_page={job.per_page}"
            async with slots, session.get(url, raise_for_status=True) as response:
                body = await response.read()
            return decode(body)

        async def pull() -> pa.Table:
            first = await fetch(1)
            total = first.pagination.total_pages
            rest = await asyncio.gather(*(fetch(number) for number in range(2, total + 1)))
            return table_of([*chain(first.contacts, *(page.contacts for page in rest))])

        yield pull


def ids(table: pa.Table) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(table["id"].to_pylist())
