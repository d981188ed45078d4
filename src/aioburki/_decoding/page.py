"""Page decoder: decode the body of a response to a `Page`, or to a list of problems.

Three readers are tried in turn, each for the pages that the one before cannot read:

1. msgspec reads the bytes of a page in the documented shape.
2. msgspec reads parsed JSON with new fields or nulls, which takes two to four times as long.
3. cattrs reads any other page, which takes five times as long or, if an optional field cannot be
   read, ten times; and names the problems.

A page that several of them can read is the same from each.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import cattrs

from .._page import Page
from .fast import Draft, FastReader, RowReader
from .json_checks import TOO_MUCH, Undecodable, holds_too_much, parse
from .tolerant import ItemHook, TolerantReader

T = TypeVar("T")
C = TypeVar("C")


class PageDecoder(Generic[T]):
    """Decode responses whose envelope is ``{items_key: […], "pagination": {…}}``.

    Args:
        items_key: the key of the list of items.
        item: the attrs class of one item; fields without a default are required, and fields that
            are not named in the class are ignored.
        hook: returns the structure hook for *item*, if its fields need more than their types
            say; see `fields_hook`.
        rows: reads the items faster, if the endpoint has a `RowReader`.
    """

    def __init__(
        self,
        items_key: str,
        item: type[T],
        *,
        hook: ItemHook[T] | None = None,
        rows: RowReader[T] | None = None,
    ) -> None:
        self.tolerant = TolerantReader(items_key, item, hook)
        self.fast = None if rows is None else FastReader(rows, self.tolerant)

    def decode(self, body: bytes) -> Page[T] | Undecodable:
        """Return the page that *body* holds, or its problems."""
        return next(done for done in self.steps(body) if done is not None)

    def steps(self, body: bytes) -> Iterator[Page[T] | Undecodable | None]:
        """Yield None between two steps of decoding, and at last what `decode` returns.

        No step takes much longer than parsing the JSON, so the caller can let other tasks run in
        between. The caller stops at the first result.
        """
        if holds_too_much(body):
            yield TOO_MUCH
        else:
            yield from self._steps(body.removeprefix(codecs.BOM_UTF8))

    def _steps(self, body: bytes) -> Iterator[Page[T] | Undecodable | None]:
        if self.fast is not None:
            yield from self.fast_steps(self.fast.from_bytes, body)
        content = parse(body, self.tolerant.items_key)
        if isinstance(content, Undecodable):
            yield content
        else:
            yield None
            if self.fast is not None:
                yield from self.fast_steps(self.fast.from_data, content)
            yield from self.tolerant.steps(content)

    def fast_steps(self, converter: cattrs.Converter, value: Any) -> Iterator[Page[T] | None]:
        """Yield None after the first step of a fast reader, then the page if it could read it."""
        draft = _structured(converter, value, Draft)
        yield None
        if draft is not None:
            page: Page[T] | None = _structured(converter, draft, Page)
            yield page


def _structured(converter: cattrs.Converter, value: Any, cl: type[C]) -> C | None:
    try:
        return converter.structure(value, cl)
    except Exception:  # noqa: BLE001 - the next reader finds the problem and its place
        return None
