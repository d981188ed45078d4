"""The types that users see. Never run: mypy and pyright read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Literal, assert_never, assert_type

import pandas as pd
import polars as pl
import pyarrow as pa

from aioburki import (
    BurkiClient,
    Contact,
    ContactData,
    ContactList,
    ContactPage,
    ContactRange,
    Contacts,
    ContactStatus,
    ContactStream,
    Event,
    IncompletePullError,
    PageFetched,
    Pagination,
    PauseReason,
    PauseStarted,
    PullEstimate,
    PullFinished,
    PullReport,
    PullStarted,
    RateLimitError,
    RequestFinished,
    RequestOutcome,
    RetryReason,
    RetryScheduled,
    from_dict,
    to_dict,
)
from aioburki.sandbox import Sandbox, parse_drift
from aioburki.telemetry import OpenTelemetry


def listen(event: Event) -> None:
    """Take any event."""
    assert_type(event.pull_id, str | None)
    match event:
        case RequestFinished():
            assert_type(event.outcome, RequestOutcome)
        case RetryScheduled():
            assert_type(event.reason, RetryReason)
        case PauseStarted():
            assert_type(event.reason, PauseReason)
        case PullFinished():
            assert_type(event.report, PullReport)
            assert_type(event.error, Exception | None)
        case PullStarted() | PageFetched():
            pass
        case _:
            assert_never(event)


async def pull(burki: BurkiClient) -> None:
    """Read contacts in every way."""
    contacts = burki.contacts(42, status="failed", per_page=500, limit=10)
    assert_type(contacts, Contacts)
    burki.contacts(42, status=ContactStatus.FAILED)
    status: str = "of a variable"
    burki.contacts(42, status=status)
    assert_type(burki.with_options(timeout=3, attempts=2, max_wait=0, on_event=None), BurkiClient)
    assert_type(burki.with_options(on_event=listen).contacts(42), Contacts)
    everyone = await contacts
    assert_type(everyone, ContactList)
    assert_type(everyone.report, PullReport)
    assert_type(everyone[0], Contact)
    async for contact in contacts:
        assert_type(contact, Contact)
    assert_type(contacts.pages(), AsyncGenerator[ContactPage, None])
    async with contacts.stream() as stream:
        async for contact in stream:
            assert_type(contact, Contact)
        assert_type(stream.report, PullReport)
        assert_type(stream.rest, ContactRange | None)
    assert_type(contacts.stream(progress=True), ContactStream)
    assert_type(await contacts.count(), int)
    assert_type(await contacts.estimate(), PullEstimate)
    assert_type(await contacts.page(3), ContactPage)
    assert_type(await contacts.first(), Contact | None)
    assert_type(asyncio.create_task(contacts.to_list()), asyncio.Task[ContactList])
    parts = await contacts.split(8)
    assert_type(parts, list[ContactRange])
    assert_type(burki.contacts(parts[0], per_page=500, limit=10), Contacts)
    assert_type(burki.contacts(str(parts[0])), Contacts)
    assert_type(ContactRange.parse(str(parts[0])), ContactRange)
    burki.contacts(42, complete=False)


async def tables(burki: BurkiClient) -> None:
    """Make a table in every way."""
    contacts = burki.contacts(42)
    assert_type(await contacts.to_arrow(), pa.Table)
    assert_type(await contacts.to_pandas(flatten=True), pd.DataFrame)
    assert_type(await contacts.to_polars(flatten=True), pl.DataFrame)
    assert_type(contacts.batches(), AsyncGenerator[pa.RecordBatch, None])
    everyone = await contacts
    assert_type(everyone.to_arrow(flatten=True), pa.Table)
    assert_type(everyone.to_pandas(), pd.DataFrame)
    assert_type(everyone.to_polars(), pl.DataFrame)


def look(contact: Contact, page: ContactPage, report: PullReport, error: RateLimitError) -> None:
    """Look at every field."""
    assert_type(contact.id, int)
    assert_type(contact.phone_number, str)
    assert_type(contact.contact_data, ContactData)
    assert_type(contact.contact_data.company, str | None)
    assert_type(contact.contact_data.extra, dict[str, Any])
    assert_type(contact.status, ContactStatus)
    assert_type(contact.created_at, datetime | None)
    assert_type(page.contacts, tuple[Contact, ...])
    assert_type(page.pagination, Pagination)
    assert_type(report.drift, tuple[str, ...])
    assert_type(report.consistent, bool)
    assert_type(report.complete, bool)
    assert_type(report.proof, Literal["single page", "coverage", "count", "none"])
    assert_type(report.missing, int)
    assert_type(report.probes, int)
    assert_type(report.problems, tuple[str, ...])
    assert_type(report.problem_count, int)
    report.raise_if_incomplete()
    assert_type(IncompletePullError("all?", report=report).campaign_id, int | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.page, int | None)
    assert_type(to_dict(contact), dict[str, Any])
    assert_type(to_dict(page), dict[str, Any])
    assert_type(to_dict([contact]), list[dict[str, Any]])
    assert_type(to_dict(page.contacts), list[dict[str, Any]])
    assert_type(from_dict(Contact, to_dict(contact)), Contact)
    assert_type(from_dict(Contact, to_dict([contact])), list[Contact])


def make() -> None:
    """Give every setting."""
    BurkiClient(
        "key",
        base_url="https://burki.example",
        concurrency=8,
        rate=50,
        attempts=6,
        timeout=30,
        max_wait=120,
        on_event=listen,
    )
    BurkiClient("key", on_event=OpenTelemetry())
    BurkiClient("key", concurrency="8")  # type: ignore[arg-type]
    Sandbox(100, order="touched", id_gaps=True, drift={"leave": 4, "delete": 0.5})
    Sandbox(100, order="-id", drift=parse_drift("leave=4"))
    Sandbox(100, order="name")  # type: ignore[arg-type]
