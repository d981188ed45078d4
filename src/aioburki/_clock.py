"""Clock: the running event loop's time, and whether that loop is asyncio's."""

from __future__ import annotations

import asyncio

import sniffio


def loop_time() -> float:
    """Return the running event loop's time, in seconds; it never goes back.

    Called eight times per page. `anyio.current_time` takes ten times as long, because it first
    finds out which async library is running.
    """
    return asyncio.get_running_loop().time()


def check_asyncio() -> None:
    """Raise RuntimeError if another async library than asyncio runs the caller."""
    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return  # in no event loop: nothing is sent here
    if library != "asyncio":
        raise RuntimeError(
            f"aioburki runs on asyncio, not on {library}: use asyncio.run, or "
            "anyio.run(main, backend='asyncio')"
        )
