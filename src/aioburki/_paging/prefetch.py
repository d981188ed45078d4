"""Look-ahead: pages in order, fetched side by side and a bounded way ahead.

The only place that creates tasks. They are plain tasks in a deque, cancelled and awaited when
the pull ends in whatever way: no task group, cancel scope or timeout spans a point where the
consumer runs, so a pull may be left, cancelled or finished from any task (PEP 789).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from .._query import PageWindow

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Fetch the windows that *next_window* hands out, at most *ahead* of them at a time.

    Tasks are created by `top_up` alone, so a consumer that does not ask for the next page
    holds the fetching back. The first failure stops everything that is under way, before
    anything further is sent; the pages before it that had already come are still handed
    out, then it is raised, as itself.
    """

    def __init__(
        self,
        fetch: Callable[[PageWindow], Coroutine[Any, Any, T]],
        next_window: Callable[[], PageWindow | None],
        ahead: int,
    ) -> None:
        self._fetch = fetch
        self._next_window = next_window
        self._ahead = ahead
        self._tasks: deque[asyncio.Task[T | None]] = deque()
        self._failure: Exception | None = None

    def top_up(self) -> None:
        """Start fetching until *ahead* pages are under way or waiting to be handed out."""
        while len(self._tasks) < self._ahead and self._failure is None:
            window = self._next_window()
            if window is None:
                return
            self._tasks.append(self._start(window))

    def fetch_next(self, window: PageWindow) -> None:
        """Start fetching *window*, to be handed out before all others."""
        if self._failure is None:
            self._tasks.appendleft(self._start(window))

    async def next(self) -> T | None:
        """Return the next page in order, or None after the last.

        Raises:
            Exception: the first failure, once the pages that came before it are handed out.
            asyncio.CancelledError: the task of the page was cancelled by someone else.
        """
        while self._tasks:
            head = self._tasks[0]
            # Unlike awaiting the task itself, this does not cancel it when we are cancelled;
            # `aclose` does, and waits for it too.
            await asyncio.wait((head,))
            if not self._tasks or self._tasks[0] is not head:
                continue  # closed, or taken by another task, while we were on our way
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
        """Stop all that is under way; `next` raises *failure* in its turn. The first one counts."""
        if self._failure is None:
            self._failure = failure
            self._cancel_tasks()

    async def aclose(self) -> None:
        """Cancel what is under way and return when all of it has ended.

        A cancellation meanwhile is passed on afterwards, not before.
        """
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

    def _start(self, window: PageWindow) -> asyncio.Task[T | None]:
        name = f"aioburki page {window.page}"
        return asyncio.create_task(self._fetch_or_fail(window), name=name)

    async def _fetch_or_fail(self, window: PageWindow) -> T | None:
        try:
            return await self._fetch(window)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised by `next`
            # In the same step in which the fetch ended: no other task runs, or sends, before.
            self.fail(error)
            return None

    def _cancel_tasks(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
