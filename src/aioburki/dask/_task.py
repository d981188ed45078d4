"""Task: run a coroutine to its end in a plain function, wherever that is called."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

# How often a task asks Dask whether it was cancelled.
SECONDS_PER_CHECK = 0.5


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what the coroutine returns; it runs in a new event loop.

    The loop is in this thread; if this thread has a running loop, as in a notebook, it is in a
    thread that ends before this function does. An exception here, such as KeyboardInterrupt,
    cancels the coroutine.

    Raises:
        distributed.Reschedule: Dask has cancelled the task that this is called in. A worker drops
            the task then, or starts it again if it is wanted again meanwhile.
    """
    watched = _watched(main)
    if not _has_running_loop():
        return asyncio.run(watched())
    stopped = threading.Event()
    cancel: list[Callable[[], object]] = []

    async def stoppable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if stopped.is_set():  # before there was anything to cancel
            task.cancel()
        return await watched()

    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(context.run, asyncio.run, stoppable()).result()
        except BaseException:
            stopped.set()
            with suppress(RuntimeError):  # its loop is closed: the exception is the coroutine's
                for each in cancel:
                    each()
            raise


def _has_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _watched(main: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
    """Return *main* so that it ends when Dask cancels the task that this thread runs."""
    is_cancelled = _cancellation_check()
    if is_cancelled is None:
        return main

    async def watched() -> T:
        from distributed import Reschedule  # noqa: PLC0415 - only on its workers

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        timers: list[asyncio.TimerHandle] = []
        was_cancelled = threading.Event()  # Dask may want the task again before it has ended

        def check() -> None:
            if is_cancelled():
                was_cancelled.set()
                task.cancel()
            else:
                timers[:] = [loop.call_later(SECONDS_PER_CHECK, check)]

        check()
        try:
            return await main()
        except asyncio.CancelledError:
            if was_cancelled.is_set() or is_cancelled():
                raise Reschedule from None
            raise
        finally:
            for timer in timers:
                timer.cancel()

    return watched


def _cancellation_check() -> Callable[[], bool] | None:
    """Return what returns whether the task of this thread is cancelled; None if it has none.

    A thread cannot be cancelled from outside, so a worker lets a cancelled task run to its end.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        worker = distributed.get_worker()
        key = worker.get_current_task()
    except (ValueError, KeyError):  # no worker; no task in this thread
        return None
    tasks = worker.state.tasks

    def is_cancelled() -> bool:
        task = tasks.get(key)
        return task is None or task.state == "cancelled"

    return is_cancelled
