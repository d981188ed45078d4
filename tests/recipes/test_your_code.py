"""Test your own code with the sandbox: with faults, a list that changes, and an error.

Run it with ``python -m pytest tests/recipes/test_your_code.py``. It needs pytest and
pytest-asyncio. The code under test takes a `BurkiClient`, so that a test can pass one that is
connected to a `Sandbox`.
"""

from collections import Counter

import pytest

from aioburki import BurkiClient, Event, NotFoundError, PageFetched
from aioburki.sandbox import Sandbox


async def contacts_by_company(burki: BurkiClient, campaign_id: int) -> Counter[str]:
    """Return the number of contacts for each company; this is the code under test."""
    counts: Counter[str] = Counter()
    async for contact in burki.contacts(campaign_id, per_page=100):
        counts[contact.contact_data.company or "unknown"] += 1
    return counts


@pytest.mark.asyncio
async def test_all_contacts_are_counted() -> None:
    """Each contact is counted once, although every tenth request fails."""
    sandbox = Sandbox(1_000, faults=0.1)
    async with BurkiClient("any", transport=sandbox.transport) as burki:
        counts = await contacts_by_company(burki, 42)
    assert counts.total() == 1_000


@pytest.mark.asyncio
async def test_contacts_imported_during_the_pull_are_counted() -> None:
    """Five contacts that are added at the end during the pull are counted too."""
    sandbox = Sandbox(1_000)

    def import_more(event: Event) -> None:
        if isinstance(event, PageFetched) and event.page == 2:
            sandbox.add(5)

    async with BurkiClient("any", transport=sandbox.transport, on_event=import_more) as burki:
        counts = await contacts_by_company(burki, 42)
    assert counts.total() == 1_005


@pytest.mark.asyncio
async def test_unknown_campaign_is_an_error() -> None:
    """A campaign that does not exist raises an error and is not empty."""
    async with BurkiClient("any", transport=Sandbox().transport) as burki:
        with pytest.raises(NotFoundError):
            await contacts_by_company(burki, 7)
