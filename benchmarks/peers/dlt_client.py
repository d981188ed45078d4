"""The `RESTClient` of dlt with its page number paginator; returns dicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from ids import Ids
from job import Job


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[dict[str, Any]]]]]:
    """Yield a function that pulls the whole list."""
    client = RESTClient(
        base_url=job.base_url,
        auth=BearerTokenAuth(token=job.key),
        paginator=PageNumberPaginator(base_page=1, total_path="pagination.total_pages"),
        data_selector="contacts",
    )

    async def pull() -> list[dict[str, Any]]:
        contacts: list[dict[str, Any]] = []
        for page in client.paginate(job.path, params={"per_page": job.per_page}):
            contacts.extend(page)
        return contacts

    yield pull


def ids(contacts: list[dict[str, Any]]) -> Ids:
    """Return the ids of the pulled contacts, in order."""
    return Ids(contact["id"] for contact in contacts)
