"""Decode: the bytes of an answer become a `ContactPage`, or a list of what is wrong with them.

Three ways, each for the pages that the one before cannot read: one in the documented shape
goes to msgspec as it came; one with fields that are new or null goes there as parsed JSON, at
two to four times the cost; all others to cattrs, at five times, which also says what is wrong
with them. The three agree on every page that they can read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

import attrs
import cattrs
import msgspec

from .._models import ContactPage, Pagination
from .fast import contacts_of, documented_rows, loose_rows
from .json_checks import TOO_MUCH, Undecodable, holds_too_much, parse
from .tolerant import MAX_ITEMS, MAX_PAGES, MisfitError, structure_page

T = TypeVar("T")

_SPACE = b" \t\r\n"
_OPENING = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"contacts"[ \t\r\n]*:')

_PageNumber = Annotated[int, msgspec.Meta(ge=1)]


class _Pagination(msgspec.Struct):
    """What is documented of pagination, all of it required."""

    page: _PageNumber
    per_page: _PageNumber
    total_items: Annotated[int, msgspec.Meta(ge=0, le=MAX_ITEMS)]
    total_pages: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGES)]
    has_next: bool
    has_prev: bool


class _Envelope(msgspec.Struct):
    """What is documented around the contacts."""

    pagination: _Pagination


_QUOTES = 2 * (len(_Envelope.__struct_fields__) + len(_Pagination.__struct_fields__))


@attrs.frozen(eq=False, repr=False)
class _Draft:
    """A page of which all is read, and no contact made yet."""

    rows: Sequence[object] = attrs.field(repr=False)
    pagination: Pagination


def decode_page(body: bytes) -> ContactPage | Undecodable:
    """Return the page that *body* holds, or what is wrong with it."""
    return next(done for done in decode_in_steps(body) if done is not None)


def decode_in_steps(body: bytes) -> Iterator[ContactPage | Undecodable | None]:
    """Yield None between any two steps of decoding, and then what `decode_page` returns.

    No step takes much longer than parsing the JSON, so others can be let in between. Each way
    follows the one before; whoever has got an answer asks for no more.
    """
    if holds_too_much(body):
        yield TOO_MUCH
    else:
        yield from _read_in_steps(body.removeprefix(codecs.BOM_UTF8))


def _read_in_steps(body: bytes) -> Iterator[ContactPage | Undecodable | None]:
    yield from _structured_in_steps(_from_bytes, body)
    content = parse(body)
    if isinstance(content, Undecodable):
        yield content
    else:
        yield None
        yield from _structured_in_steps(_from_data, content)
        page = structure_page(content)
        yield page if isinstance(page, ContactPage) else Undecodable(page, broken=False)


def _structured_in_steps(converter: cattrs.Converter, value: Any) -> Iterator[ContactPage | None]:
    """Yield None after each step, and the page at last if there is one."""
    draft = _structured(converter, value, _Draft)
    yield None
    if draft is not None:
        yield _structured(converter, draft, ContactPage)


def _structured(converter: cattrs.Converter, value: Any, cl: type[T]) -> T | None:
    try:
        return converter.structure(value, cl)
    except Exception:  # noqa: BLE001 - whatever it was, the next way finds its place
        return None


def _converter(draft: Callable[[Any, Any], _Draft]) -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(_Draft, draft)
    converter.register_structure_hook(ContactPage, _page)
    return converter


def _page(draft: _Draft, _cl: Any) -> ContactPage:
    return ContactPage(contacts_of(draft.rows), draft.pagination)


def _draft_from_bytes(body: bytes, _cl: Any) -> _Draft:
    opening = _OPENING.match(body)
    place = body.rfind(b'"pagination"')
    comma = body.rfind(b",", 0, place) if place >= 0 else -1
    if opening is None or comma < opening.end() or body[comma + 1 : place].strip(_SPACE):
        raise MisfitError("contacts and pagination expected, in this order")
    # All of the body is one of the two, so that none of its keys goes unseen.
    pagination = _pagination_from_bytes(b"{" + body[place:])
    return _Draft(documented_rows(memoryview(body)[opening.end() : comma]), pagination)


def _pagination_from_bytes(text: bytes) -> Pagination:
    # With quotes for the documented keys alone, none of which may be absent, each stands once.
    if text.count(b'"') == _QUOTES:
        try:
            documented = _read_envelope(text).pagination
        except ValueError:
            pass
        else:
            return msgspec.convert(documented, Pagination, from_attributes=True)
    envelope = parse(text)
    if isinstance(envelope, Undecodable) or "contacts" in envelope:
        raise MisfitError("no plain envelope")
    return _pagination_from_data(envelope)


def _draft_from_data(content: Any, _cl: Any) -> _Draft:
    pagination = _pagination_from_data(content)
    return _Draft(loose_rows(content["contacts"]), pagination)


def _pagination_from_data(envelope: dict[str, Any]) -> Pagination:
    page = structure_page({**envelope, "contacts": []})
    if not isinstance(page, ContactPage):
        raise MisfitError("no credible pagination")
    return page.pagination


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_from_bytes = _converter(_draft_from_bytes)
_from_data = _converter(_draft_from_data)
