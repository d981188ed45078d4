"""Pauses of the garbage collector: it is as the application has set it afterwards."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
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
    """Begin with known thresholds and nothing frozen; restore the collector's state afterwards."""
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
    """Use the freezing that belongs to collectors with generations, on every Python."""
    monkeypatch.setattr(gc_pause, "_HAS_GENERATIONS", True)


def test_nothing_is_collected_in_the_block() -> None:
    """However many objects the block allocates, the collector does not run."""
    with gc_paused():
        before = collections()
        built = build()
        assert collections() == before
        assert not gc.isenabled()
    assert len(built) == 3 * THRESHOLDS[0]


@pytest.mark.usefixtures("generations")
def test_state_is_restored() -> None:
    """The collector is enabled, with the application's thresholds and nothing frozen."""
    with gc_paused():
        build()
    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("generations")
def test_what_was_built_is_not_traversed() -> None:
    """No young collection is due after the block; what was built is in the oldest generation."""
    with gc_paused():
        built = build()
        before = collections()
    assert collections() == before
    assert gc.get_count()[0] < THRESHOLDS[0]
    young = {id(each) for each in gc.get_objects(generation=0)}
    assert not any(id(each) in young for each in built)


@pytest.mark.usefixtures("generations")
def test_small_pages_stay_young() -> None:
    """Where no collection is due, what was built stays in the youngest generation."""
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
    """Objects that the application has frozen, as before forking, stay frozen."""
    gc.freeze()
    frozen = gc.get_freeze_count()
    with gc_paused():
        built = build()
    # Some of them may have been freed since, by reference counting.
    assert frozen - 1000 < gc.get_freeze_count() <= frozen
    assert gc.isenabled()
    assert built


FROZEN_BY_PYTHON = """
import gc
from aioburki._decoding import gc_paused

gc.set_threshold(500, 5, 5)
with gc_paused():
    built = [[] for _ in range(2000)]
young = {id(each) for each in gc.get_objects(generation=0)}
assert not any(id(each) in young for each in built)
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nothing is frozen there")
def test_objects_that_python_has_frozen_do_not_count() -> None:
    """Objects that CPython 3.12 freezes at its start do not count as the application's."""
    command = [sys.executable, "-c", FROZEN_BY_PYTHON]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("generations")
def test_disabled_collector_is_left_alone() -> None:
    """Where the application has disabled the collector, nothing is done."""
    gc.collect()
    gc.disable()
    with gc_paused():
        built = build()
    assert not gc.isenabled()
    assert gc.get_count()[0] > THRESHOLDS[0]
    assert built


@pytest.mark.usefixtures("generations")
def test_threshold_of_zero_means_never() -> None:
    """Where young collections never run, what was built stays in the youngest generation."""
    gc.collect()
    gc.set_threshold(0)
    with gc_paused():
        built = build()
    assert gc.get_count()[0] >= len(built)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_state_is_restored_after_errors(error: type[BaseException]) -> None:
    """An exception of the block is raised unchanged, and the collector is enabled."""
    with pytest.raises(error):
        with gc_paused():
            raise error
    assert gc.isenabled()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() == 0


def test_without_generations_nothing_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Pythons without generations the collector is disabled in the block, and no more."""
    monkeypatch.setattr(gc_pause, "_HAS_GENERATIONS", False)
    monkeypatch.setattr(gc, "freeze", lambda: pytest.fail("frozen"))
    with gc_paused():
        assert not gc.isenabled()
        build()
    assert gc.isenabled()


def test_other_threads_may_use_it_at_the_same_time() -> None:
    """Concurrent threads leave the collector enabled and nothing frozen."""
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


@pytest.fixture
def untouched() -> Iterator[None]:
    """Fail a test that disables or enables the collector, freezes or unfreezes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("disable", "enable", "freeze", "unfreeze"):
            patch.setattr(gc, name, lambda: pytest.fail("the collector was touched"))
        yield


@pytest.mark.usefixtures("untouched")
def test_disabled_pause_does_nothing() -> None:
    """With ``enabled=False`` the collector runs in the block as it does elsewhere."""
    before = collections()
    with gc_paused(enabled=False):
        assert gc.isenabled()
        built = build()
    assert collections() > before
    assert built


@pytest.mark.usefixtures("untouched")
@pytest.mark.asyncio
async def test_client_leaves_the_collector_alone() -> None:
    """With ``pause_gc=False`` a whole pull neither disables the collector nor freezes objects."""
    transport = ListServer(range(3000)).transport
    async with BurkiClient(KEY, transport=transport, pause_gc=False) as burki:
        assert len(await burki.contacts(42)) == 3000


@pytest.mark.parametrize("per_page", [10, 1000])
@pytest.mark.asyncio
async def test_pages_are_decoded_with_the_collector_paused(
    monkeypatch: pytest.MonkeyPatch, per_page: int
) -> None:
    """The collector is disabled while a page is decoded, and enabled whenever other code runs."""
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
async def test_collector_is_enabled_after_failed_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a response without a page nor a bug in decoding leaves the collector disabled."""
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
async def test_attempts_leave_nothing_to_collect() -> None:
    """Requests and responses are freed by reference counting: a pull leaves no cyclic garbage."""
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
