"""Unread fields: the optional fields of delivered items that could not be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from .._page import Page
from .._report import MAX_NAMED
from .seen_ids import SeenIds

logger = logging.getLogger("aioburki")

T = TypeVar("T")


class UnreadFields(Generic[T]):
    """Count the optional fields that have their default, once for each item that is delivered.

    An item may be on several pages that are read. Its fields are kept until it is delivered.

    Args:
        noun: what an item is called.
        key: returns the id of an item.

    Attributes:
        count: how many fields there are.
        named: the first `MAX_NAMED` of them, each with its place and what is wrong.
    """

    def __init__(self, noun: str, key: Callable[[T], int]) -> None:
        self._noun = noun
        self._key = key
        self._pending: dict[int, list[str]] = {}
        self._counted = SeenIds()
        self.count = 0
        self.named: list[str] = []

    def record(self, page: Page[T]) -> None:
        """Keep the unread fields of a page that was fetched, of items not yet delivered."""
        fields: dict[int, list[str]] = {}
        for field in page.unread:
            key = self._key(page.items[field.index])
            fields.setdefault(key, []).append(
                f"page {page.pagination.page}, {field.place} ({self._noun} {key}): {field.reason}"
            )
        self._pending |= {
            key: texts for key, texts in fields.items() if not self._counted.holds(key)
        }

    def deliver(self, page: Page[T]) -> None:
        """Count the unread fields of the items of *page*, which are delivered."""
        if not self._pending:
            return
        keys = [key for key in map(self._key, page.items) if key in self._pending]
        for key in keys:
            texts = self._pending.pop(key)
            self.count += len(texts)
            self.named += texts[: MAX_NAMED - len(self.named)]
        self._counted.add(keys)


def warn_of_unread(name: str, unread: UnreadFields[Any], extra: Mapping[str, object]) -> None:
    """Log a warning if fields of the list *name* were not read; it names the first.

    The log record has *extra* as attributes.
    """
    if unread.count:
        logger.warning(
            "%s: %s could not be read and %s: %s",
            name,
            "1 optional field" if unread.count == 1 else f"{unread.count:,} optional fields",
            "has its default" if unread.count == 1 else "have their default, the first",
            unread.named[0],
            extra=extra,
        )
