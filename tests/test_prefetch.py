"""Prefetch: order of the pages, bound, failures, cancellation and closing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import count

import pytest

from aioburki._page import PageWindow
from aioburki._paging.prefetch import Prefetch

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]


def windows(total: int | None = None) -> Iterator[PageWindow]:
    pages = count(1) if total is None else iter(range(1, total + 1))
    return (PageWindow(page=page, per_page=10) for page in pages)


class Spy:
    """Return each page number as its page; record what is started, running and cancelled."""

    def __init__(self, delays: dict[int, float] | None = None) -> None:
        self.delays = delays or {}
        self.failures: dict[int, Exception] = {}
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.running = 0
        self.clean_up = 0.0

    async def fetch(self, window: PageWindow) -> int:
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

    def ahead(self, ahead: int = 4, total: int | None = None) -> Prefetch[int]:
        pages = windows(total)
        return Prefetch(self.fetch, lambda: next(pages, None), ahead)


async def drain(prefetch: Prefetch[int]) -> list[int]:
    pages = []
    prefetch.top_up()
    while (page := await prefetch.next()) is not None:
        pages.append(page)
        prefetch.top_up()
    return pages


async def test_pages_come_in_order() -> None:
    """Pages are delivered in order, whatever order they are received in."""
    draw = random.Random(1)
    spy = Spy({page: draw.random() for page in range(1, 101)})
    assert await drain(spy.ahead(total=100)) == list(range(1, 101))


async def test_never_more_than_allowed_ahead() -> None:
    """No more than `ahead` pages are requested before the consumer takes one."""
    spy = Spy()
    prefetch = spy.ahead(4)
    prefetch.top_up()
    prefetch.top_up()
    await asyncio.sleep(100)
    assert spy.started == [1, 2, 3, 4]
    assert await prefetch.next() == 1
    prefetch.top_up()
    await asyncio.sleep(100)
    assert spy.started == [1, 2, 3, 4, 5]
    await prefetch.aclose()


async def test_failure_comes_as_itself_after_what_came_before() -> None:
    """Pages received before a failure are delivered, then it is raised; the rest is cancelled."""
    spy = Spy({1: 0.1, 2: 0.1, 3: 5.0, 4: 0.5})
    spy.failures[4] = ValueError("four")
    prefetch = spy.ahead(10)
    prefetch.top_up()
    assert await prefetch.next() == 1
    assert await prefetch.next() == 2
    with pytest.raises(ValueError, match="four") as caught:
        await prefetch.next()
    assert caught.value is spy.failures[4]
    assert caught.value.__context__ is None
    assert spy.cancelled == [3, 5, 6, 7, 8, 9, 10]
    prefetch.top_up()
    assert len(spy.started) == 10
    with pytest.raises(ValueError, match="four"):
        await prefetch.next()
    await prefetch.aclose()


async def test_first_of_two_failures_counts() -> None:
    """Of two pages that fail at the same time the first error is raised, not in a group."""
    spy = Spy({1: 1.0, 2: 1.0})
    spy.failures |= {1: ValueError("one"), 2: ValueError("two")}
    with pytest.raises(ValueError, match="one"):
        await drain(prefetch := spy.ahead(2))
    await prefetch.aclose()


async def test_cancelled_consumer_leaves_the_page_alone() -> None:
    """Cancelling `next` does not cancel the page's task; `aclose` does."""
    spy = Spy()
    prefetch = spy.ahead(3)
    prefetch.top_up()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await prefetch.next()
    assert spy.running == 3
    assert await prefetch.next() == 1
    await prefetch.aclose()
    assert spy.running == 0


async def test_closing_waits_for_clean_up() -> None:
    """When `aclose` returns, every task has ended."""
    spy = Spy()
    spy.clean_up = 0.9
    prefetch = spy.ahead(3)
    prefetch.top_up()
    await asyncio.sleep(0.1)
    await prefetch.aclose()
    await prefetch.aclose()
    assert spy.cancelled == [1, 2, 3]
    assert spy.running == 0


async def test_second_cancellation_during_clean_up_changes_nothing() -> None:
    """An `aclose` that is cancelled raises CancelledError after all tasks have ended."""
    spy = Spy()
    spy.clean_up = 1.0
    prefetch = spy.ahead(3)
    prefetch.top_up()
    await asyncio.sleep(0.1)
    closing = asyncio.create_task(prefetch.aclose())
    for _ in range(3):
        await asyncio.sleep(0.1)
        closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert spy.running == 0


async def test_stopping_from_outside() -> None:
    """After `fail` all tasks are cancelled and `next` raises the first failure."""
    spy = Spy()
    prefetch = spy.ahead(3)
    prefetch.top_up()
    await asyncio.sleep(0.1)
    prefetch.fail(ValueError("closed"))
    prefetch.fail(ValueError("too late"))
    with pytest.raises(ValueError, match="closed"):
        await prefetch.next()
    assert spy.running == 0


async def test_page_can_be_put_before_all_others() -> None:
    """`fetch_next` delivers its page before all others, and does nothing after a failure."""
    spy = Spy()
    prefetch = spy.ahead(3)
    prefetch.top_up()
    assert await prefetch.next() == 1
    prefetch.fetch_next(PageWindow(page=99, per_page=10))
    assert await prefetch.next() == 99
    assert await prefetch.next() == 2
    prefetch.fail(ValueError("over"))
    prefetch.fetch_next(PageWindow(page=100, per_page=10))
    assert 100 not in spy.started
    assert await prefetch.next() == 3
    with pytest.raises(ValueError, match="over"):
        await prefetch.next()
    await prefetch.aclose()


async def test_places_are_in_the_order_of_delivery() -> None:
    """Windows have rising places; one that is put before all others has a lower one."""
    places: list[tuple[int, int]] = []

    async def fetch(window: PageWindow) -> int:
        places.append((window.place, window.page))
        await asyncio.sleep(1)
        return window.page

    pages = windows(4)
    prefetch = Prefetch(fetch, lambda: next(pages, None), 3)
    prefetch.top_up()
    for number in (98, 99):
        prefetch.fetch_next(PageWindow(page=number, per_page=10))
    delivered = await drain(prefetch)
    assert delivered == [99, 98, 1, 2, 3, 4]
    assert [number for _, number in sorted(places)] == delivered
    assert len({place for place, _ in places}) == len(places)


async def test_tasks_cancelled_from_outside_start_no_others() -> None:
    """When the loop ends, which cancels all tasks, nothing further is requested."""
    spy, pages = Spy(), windows()
    prefetch = Prefetch(spy.fetch, lambda: next(pages, None), ahead=8, requested=2)
    prefetch.top_up()
    await asyncio.sleep(0.5)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(100)
    assert (spy.started, sorted(spy.cancelled)) == ([1, 2], [1, 2])
    await prefetch.aclose()


async def test_task_cancelled_from_outside_cancels_the_consumer() -> None:
    """If the task of a page is cancelled from outside, `next` raises CancelledError."""
    spy = Spy()
    prefetch = spy.ahead(1)
    prefetch.top_up()
    await asyncio.sleep(0.1)
    (task,) = (t for t in asyncio.all_tasks() if t.get_name() == "aioburki page 1")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await prefetch.next()
    await prefetch.aclose()


async def test_nothing_is_sent_between_a_failure_and_its_consequences() -> None:
    """A task that gets a slot at the moment of a failure sends nothing."""
    slots = asyncio.Semaphore(2)
    sent: list[int] = []

    async def fetch(window: PageWindow) -> int:
        async with slots:
            sent.append(window.page)
            await asyncio.sleep(window.page)
            raise ValueError(window.page)

    pages = windows()
    prefetch = Prefetch(fetch, lambda: next(pages, None), 10)
    with pytest.raises(ValueError, match="1"):
        await drain(prefetch)
    await asyncio.sleep(100)
    assert sent == [1, 2]
    await prefetch.aclose()
