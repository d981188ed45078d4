"""The benchmark of moving lists: what it counts, and the table of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import moving
import pytest

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def logs_stay_as_they_are() -> Iterator[None]:
    """The benchmark runs in a process of its own, and turns warnings off there."""
    yield
    logging.disable(logging.NOTSET)


def test_lost_contacts_are_counted() -> None:
    """A plain pull of a list that drains loses contacts, a complete one proves that it does not."""
    kind = moving.Kind("20 deleted per request", {"delete": 20})
    found = {way: moving.median(kind, way, 2_000, 200, seeds=2) for way in moving.WAYS}
    assert found["plain"].lost > 50
    assert found["plain"].most_lost >= found["plain"].lost
    assert found["plain"].requests == 10
    assert found["two plain pulls, united"].requests >= 19
    assert found["complete"].lost == found["complete"].most_lost == 0
    assert (found["plain"].complete, found["complete"].complete) == (0, 2)
    text = moving.document({kind.name: found}, 2)
    assert "| 20 deleted per request |" in text
    assert "| 2 of 2 |" in text


def test_every_kind_is_in_the_results() -> None:
    """The table and the picture that are checked in have every kind of list."""
    for name in ("moving.md", "moving.svg"):
        content = (moving.RESULTS / name).read_text(encoding="utf-8")
        assert not [kind.name for kind in moving.KINDS if kind.name not in content]
