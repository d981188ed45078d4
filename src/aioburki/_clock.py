"""Clock: the event loop's time."""

from __future__ import annotations

import asyncio


def loop_time() -> float:
    """Return the seconds that the running event loop counts.

    A page asks for them eight times; anyio asks ten times as long which library is running.
    """
    return asyncio.get_running_loop().time()
