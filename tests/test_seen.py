"""The memory of ids: exact in any order, small while ids come in order."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioburki._seen import SeenIds

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


@pytest.mark.parametrize("step", [1, 7, -1, -7])
def test_ids_in_order_take_two_bytes_each(step: int) -> None:
    """A rising or falling list of 200,000 ids, a tenth of them repeated, stays below 1 MB."""
    tracemalloc.start()
    try:
        seen = SeenIds()
        start = 10**9
        for first in range(0, 200_000, 900):
            ids = [start + step * place for place in range(first, first + 1000)]
            new = seen.add(ids)
            assert new.count(True) == (1000 if first == 0 else 900)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 1_000_000
