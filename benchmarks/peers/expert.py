"""An expert's client written by hand: aiohttp, a semaphore, one msgspec decoder into structs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Any

import aiohttp
import msgspec
from ids import Ids
from job import Job


class Status(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"


class Data(msgspec.Struct):
    company: str | None = None
    source: str | None = None
    variable_values: dict[str, Any] = {}
    custom_fields: dict[str, Any] = {}


class Contact(msgspec.Struct):
    id: int
    phone_number: str
    contact_data: Data
    status: Status
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class Pagination(msgspec.Struct):
    total_pages: int


class Page(msgspec.Struct):
    contacts: list[Contact]
    pagination: Pagination


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Contact]]]]:
    """Yield a function that pulls the whole list."""
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

        async def pull() -> list[Contact]:
            first = await fetch(1)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(fetch(number))
                    for number in range(2, first.pagination.total_pages + 1)
                ]
            rest = (task.result().contacts for task in tasks)
            return list(chain(first.contacts, *rest))

        yield pull


def ids(contacts: list[Contact]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact.id for contact in contacts)
