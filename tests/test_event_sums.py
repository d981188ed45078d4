"""Sums of events are those of the report, however pulls end; also with every known fault."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, get_args

import pytest
from chaos import DAY, Outcome, Scenario, Server, Transport, run_to_ending
from event_sums import problems
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import KEY
from virtual_clock import VirtualLoop

from aioburki import (
    BurkiClient,
    BurkiError,
    ConnectionFailedError,
    Contacts,
    Event,
    RetryReason,
    RetryScheduled,
)
from aioburki.sandbox import Sandbox


def in_virtual_time(main: Callable[[], Any]) -> None:
    """Run *main*, with nothing left behind, on a clock of its own."""

    async def run() -> None:
        handled: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: handled.append(each))
        await main()
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not handled

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


async def read_list(contacts: Contacts) -> None:
    await contacts


async def read_stream(contacts: Contacts) -> None:
    async with contacts.stream() as stream:
        async for _ in stream:
            await asyncio.sleep(0.001)


async def read_pages(contacts: Contacts) -> None:
    async with aclosing(contacts.pages()) as pages:
        async for _ in pages:
            await asyncio.sleep(0.01)


async def read_first(contacts: Contacts) -> None:
    await contacts.first()


async def read_no_pull(contacts: Contacts) -> None:
    await contacts.count()
    await contacts.page(1)


async def break_out(contacts: Contacts) -> None:
    """Leave a loop with a page in hand; the generator is collected later."""
    async for contact in contacts:
        if contact.id > 60:
            break


async def keep_and_drop(contacts: Contacts) -> None:
    """Stop to iterate, and let go of the generator without closing it."""
    pages = contacts.pages()
    await anext(pages, None)
    del pages
    gc.collect()


WAYS = (read_list, read_stream, read_pages, read_first, read_no_pull, break_out, keep_and_drop)
ENDINGS = ("none", "none", "cancel", "deadline", "close")


@settings(max_examples=60)
@given(
    ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=3),
    ending=st.sampled_from(ENDINGS),
    seconds=st.floats(0, 1.5),
    faults=st.sampled_from([{}, {"503": 0.2, "429": 0.1}, {"timeout": 0.05, "503": 0.7}]),
    attempts=st.sampled_from([1, 3, 6]),
    complete=st.booleans(),
    seed=st.integers(0, 999),
)
def test_sums_of_events_are_the_report(
    *,
    ways: list[Callable[[Contacts], Any]],
    ending: str,
    seconds: float,
    faults: dict[str, float],
    attempts: int,
    complete: bool,
    seed: int,
) -> None:
    """However pulls end, each has one start and one end, and its events add up to its report."""
    events: list[Event] = []

    async def main() -> None:
        sandbox = Sandbox(300, seed=seed, faults=faults, latency=0.05)
        async with BurkiClient(
            KEY, transport=sandbox.transport, on_event=events.append, attempts=attempts, timeout=2
        ) as burki:
            contacts = burki.contacts(42, per_page=20, complete=complete)
            tasks = [asyncio.ensure_future(way(contacts)) for way in ways]
            if ending == "cancel":
                await asyncio.sleep(seconds)
                for task in tasks:
                    task.cancel()
            elif ending == "close":
                await asyncio.sleep(seconds)
                await burki.aclose()
            timeout = seconds if ending == "deadline" else None
            await asyncio.wait(tasks, timeout=timeout)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.01)
            allowed = BurkiError | asyncio.CancelledError | None
            assert all(isinstance(end, allowed) for end in ends), ends

    in_virtual_time(main)
    assert problems(events) == []


@pytest.mark.parametrize("complete", [False, True])
def test_sums_hold_with_every_known_fault(complete: bool) -> None:
    """The same for pulls with all faults of `chaos.py`, that end in any of its ways."""
    for seed in range(25):
        scenario = Scenario.from_seed(seed, on_sockets=False, complete=complete)
        events: list[Event] = []

        async def main(scenario: Scenario = scenario, listen: Any = events.append) -> None:
            async with BurkiClient(
                KEY,
                transport=Transport(Server(scenario)),
                concurrency=scenario.concurrency,
                attempts=scenario.attempts,
                max_wait=DAY,
                on_event=listen,
            ) as burki:
                contacts = burki.contacts(
                    42, per_page=scenario.per_page, limit=scenario.limit, complete=complete
                )
                await run_to_ending(scenario, contacts, Outcome())
                await asyncio.sleep(0.01)

        in_virtual_time(main)
        assert problems(events) == [], f"seed {seed}"
        for event in events:
            if isinstance(event, RetryScheduled):
                assert event.reason in get_args(RetryReason)
                assert event.detail


@pytest.mark.asyncio
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("count", [False, True])
async def test_request_that_finds_no_connection_is_none(count: bool) -> None:
    """Where no connection can be opened nothing is sent: a retry is told, and no request."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        events: list[Any] = []
        async with BurkiClient(KEY, base_url=url, attempts=2, on_event=events.append) as burki:
            with pytest.raises(ConnectionFailedError):
                await (burki.contacts(42).count() if count else burki.contacts(42))
    kinds = [type(event).__name__ for event in events]
    assert kinds == (
        ["RetryScheduled"] if count else ["PullStarted", "RetryScheduled", "PullFinished"]
    )
    assert problems(events) == []
