"""The garbage collector is the application's: what is done to it must not be seen afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator

import httpx
import pytest
from pages import KEY, ListServer

from aioburki import BurkiClient
from aioburki._decoding import gc_pause
from aioburki._decoding.gc_pause import gc_paused
from aioburki._decoding.json_checks import Undecodable
from aioburki._list_contacts import CONTACTS

THRESHOLDS = (500, 5, 5)


@pytest.fixture(autouse=True)
def own_collector() -> Iterator[None]:
    """Begin with thresholds of one's own and nothing frozen; leave all as it was."""
    enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.unfreeze()
    gc.enable()
    gc.set_threshold(*THRESHOLDS)
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    (gc.enable if enabled else gc.disable)()


def build() -> list[list[int]]:
    return [[] for _ in range(3 * THRESHOLDS[0])]


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


@pytest.fixture
def generations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a collector with generations, whatever this Python has."""
    monkeypatch.setattr(gc_pause, "_HAS_GENERATIONS", True)


def test_nothing_is_collected_in_the_block() -> None:
    """However much is built, the collector does not run."""
    with gc_paused():
        before = collections()
        built = build()
        assert collections() == before
        assert not gc.isenabled()
    assert len(built) == 3 * THRESHOLDS[0]


@pytest.mark.usefixtures("generations")
def test_afterwards_everything_is_as_it_was() -> None:
    """Switched on, with the application's thresholds, and with nothing frozen."""
    with gc_paused():
        build()
    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("generations")
def test_what_was_built_is_not_looked_at() -> None:
    """No young collection is due after the block, and what was built is old."""
    with gc_paused():
        built = build()
        before = collections()
    assert collections() == before
    assert gc.get_count()[0] < THRESHOLDS[0]
    young = {id(each) for each in gc.get_objects(generation=0)}
    assert not any(id(each) in young for each in built)


@pytest.mark.usefixtures("generations")
def test_small_pages_stay_young() -> None:
    """Where no collection is due, nothing is made old before its time."""
    gc.collect()
    with gc_paused():
        built = [[] for _ in range(10)]  # type: ignore[var-annotated]
    young = {id(each) for each in gc.get_objects(generation=0)}
    assert all(id(each) in young for each in built)


@pytest.mark.usefixtures("generations")
def test_garbage_of_the_application_is_still_found() -> None:
    """A cycle that was young during a block is freed by a full collection."""

    class Node:
        itself: Node

    node = Node()
    node.itself = node
    gone = weakref.ref(node)
    with gc_paused():
        build()
    del node
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("generations")
def test_frozen_objects_stay_frozen() -> None:
    """Who has frozen objects before forking finds them frozen."""
    gc.freeze()
    frozen = gc.get_freeze_count()
    with gc_paused():
        built = build()
    # Some of them may have been freed since, as they are when nothing refers to them any more.
    assert frozen - 1000 < gc.get_freeze_count() <= frozen
    assert gc.isenabled()
    assert built


@pytest.mark.usefixtures("generations")
def test_switched_off_means_switched_off() -> None:
    """An application that collects for itself is left alone."""
    gc.collect()
    gc.disable()
    with gc_paused():
        built = build()
    assert not gc.isenabled()
    assert gc.get_count()[0] > THRESHOLDS[0]
    assert built


@pytest.mark.usefixtures("generations")
def test_threshold_of_nought_means_never() -> None:
    """Nor is anything made old where young collections are ruled out."""
    gc.collect()
    gc.set_threshold(0)
    with gc_paused():
        built = build()
    assert gc.get_count()[0] >= len(built)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_errors_leave_it_as_it_was_too(error: type[BaseException]) -> None:
    """What is raised in the block comes out of it, and the collector is on."""
    with pytest.raises(error):
        with gc_paused():
            raise error
    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() == 0


def test_without_generations_nothing_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Pythons whose collector has no use for it, the collector is only held back."""
    monkeypatch.setattr(gc_pause, "_HAS_GENERATIONS", False)
    monkeypatch.setattr(gc, "freeze", lambda: pytest.fail("frozen"))
    with gc_paused():
        assert not gc.isenabled()
        build()
    assert gc.isenabled()


def test_other_threads_may_use_it_at_the_same_time() -> None:
    """Threads that build and collect side by side leave the collector on and nothing frozen."""
    done: list[int] = []

    def work() -> None:
        for _ in range(50):
            with gc_paused():
                build()
            gc.collect(0)
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("per_page", [10, 1000])
@pytest.mark.asyncio
async def test_pages_are_decoded_at_rest(monkeypatch: pytest.MonkeyPatch, per_page: int) -> None:
    """The collector is off while a page is decoded, and on whenever anybody else runs."""
    seen: list[bool] = []

    steps = CONTACTS.decoder.steps

    def decode(body: bytes) -> Iterator[object]:
        for done in steps(body):
            seen.append(gc.isenabled())
            yield done

    async def beat() -> None:
        while True:
            assert gc.isenabled()
            await asyncio.sleep(0)

    monkeypatch.setattr(CONTACTS.decoder, "steps", decode)
    async with BurkiClient(KEY, transport=ListServer(range(5 * per_page)).transport) as burki:
        beating = asyncio.create_task(beat())
        async for _ in burki.contacts(42, per_page=per_page):
            assert gc.isenabled()
        assert not beating.done()
        beating.cancel()
    assert len(seen) >= 10
    assert not any(seen)


@pytest.mark.may_show("local variable", why="a fault of ours may leave a body in its frames")
@pytest.mark.asyncio
async def test_pages_that_cannot_be_decoded_leave_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a page that is none nor a fault of ours keeps the collector off."""
    none = Undecodable(("no",), broken=False)
    monkeypatch.setattr(CONTACTS.decoder, "steps", lambda _: iter([none]))
    async with BurkiClient(KEY, transport=ListServer([1]).transport) as burki:
        with pytest.raises(Exception, match="not a page of contacts"):
            await burki.contacts(42)
        assert gc.isenabled()
        monkeypatch.setattr(CONTACTS.decoder, "steps", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await burki.contacts(42)
        assert gc.isenabled()
    gc.collect()  # the frames of that fault


@pytest.mark.asyncio
async def test_exchanges_leave_nothing_to_collect() -> None:
    """Requests and answers go with their last reference: a long pull collects no garbage."""
    answers: list[weakref.ref[httpx.Response]] = []

    class Watching(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await self.inner.handle_async_request(request)
            answers.append(weakref.ref(response))
            return response

    gc.disable()
    transport = Watching(ListServer(range(50)).transport)
    async with BurkiClient(KEY, transport=transport) as burki:
        await burki.contacts(42, per_page=10)
    assert [answer() for answer in answers] == [None] * 5
