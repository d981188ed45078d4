"""The look-ahead: order, bound, failure, and ending in every way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import count

import pytest

from aioburki._lookahead import LookAhead
from aioburki._query import Window

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


def windows(total: int | None = None) -> Iterator[Window]:
    pages = count(1) if total is None else iter(range(1, total + 1))
    return (Window(page=page, per_page=10) for page in pages)


class Spy:
    """Fetch page numbers as themselves, and note who is at it."""

    def __init__(self, delays: dict[int, float] | None = None) -> None:
        self.delays = delays or {}
        self.failures: dict[int, Exception] = {}
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.running = 0
        self.clean_up = 0.0

    async def fetch(self, window: Window) -> int:
        self.started.append(window.page)
        self.running += 1
        try:
            await asyncio.sleep(self.delays.get(window.page, 1.0))
            if window.page in self.failures:
                raise self.failures[window.page]
        except asyncio.CancelledError:
            self.cancelled.append(window.page)
            await asyncio.sleep(self.clean_up)
            raise
        finally:
            self.running -= 1
        return window.page

    def ahead(self, ahead: int = 4, total: int | None = None) -> LookAhead[int]:
        pages = windows(total)
        return LookAhead(self.fetch, lambda: next(pages, None), ahead)


async def drain(look_ahead: LookAhead[int]) -> list[int]:
    pages = []
    look_ahead.top_up()
    while (page := await look_ahead.next()) is not None:
        pages.append(page)
        look_ahead.top_up()
    return pages


async def test_pages_come_in_order() -> None:
    """Whatever order the answers come in, pages go out in theirs."""
    draw = random.Random(1)
    spy = Spy({page: draw.random() for page in range(1, 101)})
    assert await drain(spy.ahead(total=100)) == list(range(1, 101))


async def test_never_more_than_allowed_ahead() -> None:
    """A consumer that takes nothing holds the fetching back."""
    spy = Spy()
    look_ahead = spy.ahead(4)
    look_ahead.top_up()
    look_ahead.top_up()
    await asyncio.sleep(100)
    assert spy.started == [1, 2, 3, 4]
    assert await look_ahead.next() == 1
    look_ahead.top_up()
    await asyncio.sleep(100)
    assert spy.started == [1, 2, 3, 4, 5]
    await look_ahead.aclose()


async def test_failure_comes_as_itself_after_what_came_before() -> None:
    """Pages that had come before the failure go out, then the error, and all else stops."""
    spy = Spy({1: 0.1, 2: 0.1, 3: 5.0, 4: 0.5})
    spy.failures[4] = ValueError("four")
    look_ahead = spy.ahead(10)
    look_ahead.top_up()
    assert await look_ahead.next() == 1
    assert await look_ahead.next() == 2
    with pytest.raises(ValueError, match="four") as caught:
        await look_ahead.next()
    assert caught.value is spy.failures[4]
    assert caught.value.__context__ is None
    assert spy.cancelled == [3, 5, 6, 7, 8, 9, 10]
    look_ahead.top_up()
    assert len(spy.started) == 10
    with pytest.raises(ValueError, match="four"):
        await look_ahead.next()
    await look_ahead.aclose()


async def test_first_of_two_failures_counts() -> None:
    """Two pages that fail in one instant raise one error, in no group."""
    spy = Spy({1: 1.0, 2: 1.0})
    spy.failures |= {1: ValueError("one"), 2: ValueError("two")}
    with pytest.raises(ValueError, match="one"):
        await drain(look_ahead := spy.ahead(2))
    await look_ahead.aclose()


async def test_cancelled_consumer_leaves_the_page_alone() -> None:
    """A cancellation while waiting for a page comes out, and closing ends the rest."""
    spy = Spy()
    look_ahead = spy.ahead(3)
    look_ahead.top_up()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await look_ahead.next()
    assert spy.running == 3
    assert await look_ahead.next() == 1
    await look_ahead.aclose()
    assert spy.running == 0


async def test_closing_waits_for_clean_up() -> None:
    """When closing returns, every task has ended."""
    spy = Spy()
    spy.clean_up = 0.9
    look_ahead = spy.ahead(3)
    look_ahead.top_up()
    await asyncio.sleep(0.1)
    await look_ahead.aclose()
    await look_ahead.aclose()
    assert spy.cancelled == [1, 2, 3]
    assert spy.running == 0


async def test_second_cancellation_during_clean_up_changes_nothing() -> None:
    """Who is cancelled while closing still closes, and is cancelled afterwards."""
    spy = Spy()
    spy.clean_up = 1.0
    look_ahead = spy.ahead(3)
    look_ahead.top_up()
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(look_ahead.aclose())
    for _ in range(3):
        await asyncio.sleep(0.1)
        closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert spy.running == 0


async def test_stopping_from_outside() -> None:
    """Somebody else's failure stops all tasks; the consumer gets it in its turn."""
    spy = Spy()
    look_ahead = spy.ahead(3)
    look_ahead.top_up()
    await asyncio.sleep(0.1)
    look_ahead.fail(ValueError("closed"))
    look_ahead.fail(ValueError("too late"))
    with pytest.raises(ValueError, match="closed"):
        await look_ahead.next()
    assert spy.running == 0


async def test_page_can_be_put_before_all_others() -> None:
    """A window that is wanted next comes next, unless something has failed."""
    spy = Spy()
    look_ahead = spy.ahead(3)
    look_ahead.top_up()
    assert await look_ahead.next() == 1
    look_ahead.fetch_next(Window(page=99, per_page=10))
    assert await look_ahead.next() == 99
    assert await look_ahead.next() == 2
    look_ahead.fail(ValueError("over"))
    look_ahead.fetch_next(Window(page=100, per_page=10))
    assert 100 not in spy.started
    assert await look_ahead.next() == 3
    with pytest.raises(ValueError, match="over"):
        await look_ahead.next()
    await look_ahead.aclose()


async def test_task_cancelled_by_somebody_else_cancels_the_consumer() -> None:
    """A page whose task is cancelled from outside is never taken for the end."""
    spy = Spy()
    look_ahead = spy.ahead(1)
    look_ahead.top_up()
    await asyncio.sleep(0.1)
    (task,) = (t for t in asyncio.all_tasks() if t.get_name() == "aioburki page 1")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look_ahead.next()
    await look_ahead.aclose()


async def test_nothing_is_sent_between_a_failure_and_its_consequences() -> None:
    """A sibling that gets a free slot in the very step of the failure does not use it."""
    slots = asyncio.Semaphore(2)
    sent: list[int] = []

    async def fetch(window: Window) -> int:
        async with slots:
            sent.append(window.page)
            await asyncio.sleep(window.page)
            raise ValueError(window.page)

    pages = windows()
    look_ahead = LookAhead(fetch, lambda: next(pages, None), 10)
    with pytest.raises(ValueError, match="1"):
        await drain(look_ahead)
    await asyncio.sleep(100)
    assert sent == [1, 2]
    await look_ahead.aclose()
