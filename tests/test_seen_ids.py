"""The memory of ids: exact in any order, small while ids come in order."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioburki._paging.seen_ids import SeenIds

IDS = st.integers(-(2**70), 2**70) | st.integers(0, 30)


@given(st.lists(st.lists(IDS, max_size=8), max_size=8))
@example([[5], [5], [3], [5], [9], [3]])
@example([[5, 9, 5], [3], [9], [5]])
@example([[9, 8, 7], [7, 6, 9], [6, 5]])
@example([[1, 2, 3], [3, 4], [10**25, 10**30], [2, 10**25]])
def test_agrees_with_a_set(batches: list[list[int]]) -> None:
    """Each id is new exactly once, whatever the order of ids and batches."""
    seen = SeenIds()
    known: set[int] = set()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number not in known)
            known.add(number)
        assert seen.add(batch) == expected


@pytest.mark.parametrize(
    ("step", "most"), [(1, 0.3), (5, 0.8), (-5, 0.8), (15, 2.2), (50, 2.4), (-50, 2.4), (1000, 4.7)]
)
def test_ids_in_order_take_few_bytes(step: int, most: float) -> None:
    """Rising or falling, a tenth repeated, they take bits or a few bytes, and an eighth to grow."""
    tracemalloc.start()
    try:
        seen = SeenIds()
        start = 10**9
        for first in range(0, 200_000, 900):
            ids = [start + step * place for place in range(first, first + 1000)]
            new = seen.add(ids)
            assert new.count(True) == (1000 if first == 0 else 900)
        del ids, new
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < most * 200_000


@pytest.mark.parametrize("step", [1, 5, 15, 16, 17, 100, 10**6, 10**20])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_id_is_known_wherever_it_stood(step: int, sign: int) -> None:
    """Of pages long past each id is known, and those between, before and beyond are not."""
    seen = SeenIds()
    ids = [sign * step * place for place in range(100, 400)]
    for first in range(0, 300, 100):
        assert all(seen.add(ids[first : first + 100]))
    assert not any(seen.add(ids[::-1]))
    assert not any(seen.add([number]) == [True] for number in ids)
    between = [] if step == 1 else [number + sign for number in ids]
    strangers = [sign, *between, ids[0] - sign, ids[-1] + sign * (step + 1)]
    assert all(seen.add([number]) == [True] for number in strangers)
    assert not any(seen.add(strangers))
