"""The expert's client written by hand, with garbage collection disabled during the pull."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from job import Job

from peers import expert
from peers.expert import Contact, ids

__all__ = ["ids", "open_pull"]


@asynccontextmanager
async def open_pull(job: Job) -> AsyncIterator[Callable[[], Awaitable[list[Contact]]]]:
    """Yield a function that pulls the whole list."""
    async with expert.open_pull(job) as pull:

        async def pull_with_gc_disabled() -> list[Contact]:
            gc.disable()
            try:
                return await pull()
            finally:
                gc.enable()

        yield pull_with_gc_disabled
