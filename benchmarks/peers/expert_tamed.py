"""The expert's pull with the garbage collector off from its beginning to its end."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from job import Job

from peers import expert
from peers.expert import Contact, ids

__all__ = ["ids", "opened"]


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Contact]]]]:
    """Yield the pull."""
    async with expert.opened(job) as pull:

        async def pull_without_collector() -> list[Contact]:
            gc.disable()
            try:
                return await pull()
            finally:
                gc.enable()

        yield pull_without_collector
