"""A small share of what ``python tests/fuzz_bodies.py`` throws."""

from __future__ import annotations

import pytest
from fuzz_bodies import throw_all

pytestmark = [pytest.mark.long, pytest.mark.asyncio]


@pytest.mark.may_show("repr of Contact", why="keys are put anywhere, and a status is shown")
async def test_mutated_bodies_end_as_they_must() -> None:
    """Whatever is broken in a body, it is a page, or said to be none, and never anything else."""
    outcomes = await throw_all(0, range(3000))
    assert outcomes.keys() == {
        "broken", "documented", "encoded", "loose", "refused", "tolerated",
    }  # fmt: skip
