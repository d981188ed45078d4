"""Fast reader: pages that msgspec can convert to attrs classes in C, in two steps.

The first step reads rows, which are msgspec structs of the endpoint; the second converts them to
items. A page in the documented shape is read from bytes, others from parsed JSON. A page that
cannot be read either way is left to the tolerant reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Protocol, TypeVar

import attrs
import cattrs
import msgspec

from .._page import Page, Pagination
from .fields import MAX_ITEMS, MAX_PAGES, MisfitError
from .json_checks import Undecodable, parse
from .tolerant import TolerantReader

T = TypeVar("T")
Item_co = TypeVar("Item_co", covariant=True)

_SPACE = b" \t\r\n"
_PageNumber = Annotated[int, msgspec.Meta(ge=1)]


class RowReader(Protocol[Item_co]):
    """Read the items of one endpoint through rows; after any error the next reader is tried."""

    def documented_rows(self, text: bytes | memoryview) -> Sequence[object]:
        """Return the rows of a JSON list, if all are exactly as the API documents them."""
        ...

    def loose_rows(self, values: Any) -> Sequence[object]:
        """Return the rows of a parsed JSON list, if its values have the documented types."""
        ...

    def items(self, rows: Sequence[object]) -> tuple[Item_co, ...]:
        """Return the items that *rows* hold."""
        ...


class _Pagination(msgspec.Struct):
    """The documented pagination, all of it required."""

    page: _PageNumber
    per_page: _PageNumber
    total_items: Annotated[int, msgspec.Meta(ge=0, le=MAX_ITEMS)]
    total_pages: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGES)]
    has_next: bool
    has_prev: bool


class _Envelope(msgspec.Struct):
    """The documented envelope without the items."""

    pagination: _Pagination


_QUOTES = 2 * (len(_Envelope.__struct_fields__) + len(_Pagination.__struct_fields__))


@attrs.frozen(eq=False, repr=False)
class Draft:
    """A page that is read completely, with rows in place of its items."""

    rows: Sequence[object] = attrs.field(repr=False)
    pagination: Pagination


class FastReader(Generic[T]):
    """Read pages through rows, by cattrs structure hooks that call msgspec."""

    def __init__(self, rows: RowReader[T], tolerant: TolerantReader[T]) -> None:
        self._rows = rows
        self._tolerant = tolerant
        key = re.escape(tolerant.items_key.encode())
        self._opening = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"%s"[ \t\r\n]*:' % key)
        self.from_bytes = self._converter(self._draft_from_bytes)
        self.from_data = self._converter(self._draft_from_data)

    def _converter(self, draft: Callable[[Any, Any], Draft]) -> cattrs.Converter:
        converter = cattrs.Converter()
        converter.register_structure_hook(Draft, draft)
        converter.register_structure_hook(Page, self._page)
        return converter

    def _page(self, draft: Draft, _cl: Any) -> Page[T]:
        return Page(self._rows.items(draft.rows), draft.pagination)

    def _draft_from_bytes(self, body: bytes, _cl: Any) -> Draft:
        opening = self._opening.match(body)
        place = body.rfind(b'"pagination"')
        comma = body.rfind(b",", 0, place) if place >= 0 else -1
        if opening is None or comma < opening.end() or body[comma + 1 : place].strip(_SPACE):
            raise MisfitError("items and pagination expected, in this order")
        # Every byte of the body is passed to one of the two, so no key is skipped.
        pagination = self._pagination_from_bytes(b"{" + body[place:])
        rows = self._rows.documented_rows(memoryview(body)[opening.end() : comma])
        return Draft(rows, pagination)

    def _pagination_from_bytes(self, text: bytes) -> Pagination:
        # As many quotes as the documented keys have, and no key absent: each occurs exactly once.
        if text.count(b'"') == _QUOTES:
            try:
                documented = _read_envelope(text).pagination
            except ValueError:
                pass
            else:
                return msgspec.convert(documented, Pagination, from_attributes=True)
        envelope = parse(text, self._tolerant.items_key)
        if isinstance(envelope, Undecodable) or self._tolerant.items_key in envelope:
            raise MisfitError("no plain envelope")
        return self._tolerant.read_pagination(envelope)

    def _draft_from_data(self, content: Any, _cl: Any) -> Draft:
        pagination = self._tolerant.read_pagination(content)
        return Draft(self._rows.loose_rows(content[self._tolerant.items_key]), pagination)


_read_envelope = msgspec.json.Decoder(_Envelope).decode
