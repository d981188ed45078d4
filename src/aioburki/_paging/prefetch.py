"""Prefetch: pages in order, fetched concurrently and a bounded number of pages ahead.

The only module that creates tasks. They are plain tasks in a deque, cancelled and awaited however
the pull ends: no task group, cancel scope or timeout spans a point where the consumer runs, so a
pull may be abandoned, cancelled or finished from any task (https://peps.python.org/pep-0789/).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

import attrs

from .._page import PageWindow

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Fetch the windows that *next_window* returns, at most *ahead* of them at a time.

    Tasks are created by `top_up` alone, so a consumer that does not ask for the next page stops
    the fetching. The first failure cancels all other requests before anything further is sent;
    the pages before it that had already come are still delivered, then it is raised unchanged.

    Args:
        fetch: returns the page at a window.
        next_window: returns the next window, or None if none is known now.
        ahead: maximum number of pages that are requested or waiting to be delivered.
        requested: maximum number of pages that are requested; *ahead* by default. A window is
            fixed when its request starts, so that less than *ahead* lets it follow the list.
        waiting: returns how many of these wait until they are requested again; they do not count.

    Attributes:
        context: the context of which all tasks get a copy; None: that of whoever starts a task.
    """

    def __init__(
        self,
        fetch: Callable[[PageWindow], Coroutine[Any, Any, T]],
        next_window: Callable[[], PageWindow | None],
        ahead: int,
        requested: int | None = None,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._fetch = fetch
        self._next_window = next_window
        self._ahead = ahead
        self._max_requested = ahead if requested is None else requested
        self._requested = 0
        self._waiting = waiting
        self.context: Context | None = None
        self._is_closed = False
        self._tasks: deque[asyncio.Task[T | None]] = deque()
        self._failure: Exception | None = None
        self._first_place = 0
        self._next_place = 0

    @property
    def is_left_over(self) -> bool:
        """Return whether its event loop was closed before its tasks had ended."""
        return any(not task.done() and task.get_loop().is_closed() for task in self._tasks)

    def top_up(self) -> None:
        """Start fetching until *ahead* pages are requested or waiting to be delivered."""
        while (
            len(self._tasks) < self._ahead
            and self._requested - self._waiting() < self._max_requested
            and self._failure is None
            and not self._is_closed
        ):
            window = self._next_window()
            if window is None:
                return
            self._tasks.append(self._start(window, self._next_place))
            self._next_place += 1

    def fetch_next(self, window: PageWindow) -> None:
        """Start fetching *window*, to be delivered before all others."""
        if self._failure is None:
            self._first_place -= 1
            self._tasks.appendleft(self._start(window, self._first_place))

    async def next(self) -> T | None:
        """Return the next page in order, or None after the last.

        Raises:
            Exception: the first failure, once the pages that came before it are delivered.
            asyncio.CancelledError: the task of the page was cancelled from outside.
        """
        while self._tasks:
            head = self._tasks[0]
            # Unlike awaiting the task, `wait` does not cancel it when this call is cancelled;
            # `aclose` cancels it and waits for it.
            await asyncio.wait((head,))
            if not self._tasks or self._tasks[0] is not head:
                continue  # closed, or delivered to another task, meanwhile
            page = None if head.cancelled() else head.result()
            if page is not None:
                self._tasks.popleft()
                return page
            if self._failure is None:
                raise asyncio.CancelledError
            break
        if self._failure is not None:
            raise self._failure
        return None

    def fail(self, failure: Exception) -> None:
        """Cancel all requests; `next` raises the first *failure* after the pages that came."""
        if self._failure is None:
            self._failure = failure
            self._cancel_tasks()

    async def aclose(self) -> None:
        """Cancel all requests and return when their tasks have ended.

        A cancellation meanwhile is raised afterwards, not before.
        """
        self._is_closed = True
        self._cancel_tasks()
        interruption: asyncio.CancelledError | None = None
        while unfinished := [task for task in self._tasks if not task.done()]:
            try:
                await asyncio.wait(unfinished)
            except asyncio.CancelledError as error:
                interruption = error
        self._tasks.clear()
        if interruption is not None:
            raise interruption

    def _start(self, window: PageWindow, place: int) -> asyncio.Task[T | None]:
        self._requested += 1
        name = f"aioburki page {window.page}"
        placed = attrs.evolve(window, place=place)
        # A copy, because this may run in a task that is started at once, in a copy of its own.
        context = copy_context() if self.context is None else self.context.copy()
        task: asyncio.Task[T | None] = context.run(
            asyncio.create_task, self._fetch_or_fail(placed), name=name
        )
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[T | None]) -> None:
        self._requested -= 1
        # `asyncio.run` cancels all tasks at its end, and none may be started after that.
        if self._max_requested < self._ahead and not task.cancelled():
            self.top_up()

    async def _fetch_or_fail(self, window: PageWindow) -> T | None:
        try:
            return await self._fetch(window)
        except Exception as error:  # noqa: BLE001 - `next` raises it
            # In the same step in which the fetch ended: no other task runs, or sends, before.
            self.fail(error)
            return None

    def _cancel_tasks(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
