"""Boundaries: where a list is divided into parts of about equal size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._paging import Bounds, Key, SortOrder


def offsets_of(bounds: Bounds, total: int, size: int, parts: int) -> list[int]:
    """Return the offsets that divide a list of *total* items, or its part, into *parts*.

    It is not divided if it is no longer than a page of *size*.
    """
    end = min(bounds.end, total) if bounds.end else total
    length = end - bounds.offset
    if length <= size:
        return []
    parts = min(parts, length)
    return [bounds.offset + part * length // parts for part in range(1, parts)]


def is_mostly_rising(order: SortOrder[Any], keys: Sequence[Key]) -> bool:
    """Return whether *keys*, read one by one from a list, rise as a whole.

    Neighbours may have changed places, because the list moves between two reads. So each key is
    compared with the one half of the list later; of these, less than a quarter may come before it.
    """
    later = keys[max(1, len(keys) // 2) :]
    early = sum(order.is_behind(one, other) for one, other in zip(keys, later, strict=False))
    return not early or 4 * early < len(later)


def in_order(
    order: SortOrder[Any], places: Sequence[tuple[Key, int]], bounds: Bounds
) -> list[tuple[Key, int]]:
    """Return *places*, keys and their offsets, sorted, without repeats, and inside *bounds*."""
    offsets = dict(places)
    return [
        (key, offsets[key])
        for key in sorted(offsets, reverse=order.is_falling)
        if (bounds.after is None or order.is_behind(key, bounds.after))
        and (bounds.until is None or order.is_behind(bounds.until, key))
    ]
