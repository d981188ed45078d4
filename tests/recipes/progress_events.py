"""Show the progress of a pull with ``on_event``.

Run it with ``python tests/recipes/progress_events.py``. The sandbox answers two requests with a 503
and one with a 429, so that all these kinds of events occur. The function is called on the event
loop and should return quickly; an exception that it raises is logged and does not stop the pull.
"""

import asyncio

from aioburki import (
    BurkiClient,
    Event,
    PageFetched,
    PauseStarted,
    PullFinished,
    RetryScheduled,
)
from aioburki.sandbox import Sandbox


def show(event: Event) -> None:
    """Print one line for *event*."""
    match event:
        case PageFetched(page=page, total_pages=total, attempts=attempts):
            print(f"page {page} of {total}, attempts: {attempts}")
        case RetryScheduled(page=page, detail=detail, delay=delay):
            print(f"page {page}: {detail}, again in {delay:.1f} s")
        case PauseStarted(page=page, reason=reason, seconds=seconds):
            print(f"page {page}: {reason}, waiting for {seconds:.1f} s")
        case PullFinished(outcome=outcome, report=report):
            print(f"{outcome}: {report.requests} requests, {report.waited:.1f} s waited")


async def main() -> None:
    """Pull 1,000 contacts in ten pages and print what happens."""
    sandbox = Sandbox(1_000, seed=3, faults={"503": 0.1, "429": 0.1})
    async with BurkiClient("any", transport=sandbox.transport, on_event=show) as burki:
        contacts = await burki.contacts(42, per_page=100)
    print(len(contacts), "contacts in", contacts.report.requests, "requests")


asyncio.run(main())
