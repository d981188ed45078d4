"""A small share of the bodies that ``python tests/fuzz_bodies.py`` checks."""

from __future__ import annotations

import pytest
from fuzz_bodies import check_all

pytestmark = [pytest.mark.long, pytest.mark.asyncio]


@pytest.mark.may_show(
    "repr of Contact", why="a mutation may put the key into a status, which repr shows"
)
async def test_mutated_bodies_are_decoded_or_refused() -> None:
    """Each mutated body gives the page that `json` reads from it, or is refused with a reason."""
    outcomes = await check_all(0, range(3000))
    assert outcomes.keys() == {
        "broken", "defaulted", "documented", "encoded", "loose", "refused", "tolerated", "zeros",
    }  # fmt: skip
