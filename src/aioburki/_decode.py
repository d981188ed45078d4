"""Decode: the bytes of an answer become a `ContactPage`, or a list of what is wrong with them.

Three ways, each for the pages that the one before cannot read: one in the documented shape
goes to msgspec as it came; one with fields that are new or null goes there as parsed JSON, at
two to four times the cost; all others to cattrs, at five times, which also says what is wrong
with them. The three agree on every page that they can read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Annotated, Any

import cattrs
import msgspec

from ._models import ContactPage, Pagination
from ._parse import TOO_MUCH, Undecodable, holds_too_much, parse
from ._rows import documented_contacts, loose_contacts
from ._structure import MOST_ITEMS, MOST_PAGES, MisfitError, structure_page

_SPACE = b" \t\r\n"
_OPENING = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"contacts"[ \t\r\n]*:')

_PageNumber = Annotated[int, msgspec.Meta(ge=1)]


class _Pagination(msgspec.Struct):
    """What is documented of pagination, all of it required."""

    page: _PageNumber
    per_page: _PageNumber
    total_items: Annotated[int, msgspec.Meta(ge=0, le=MOST_ITEMS)]
    total_pages: Annotated[int, msgspec.Meta(ge=0, le=MOST_PAGES)]
    has_next: bool
    has_prev: bool


class _Envelope(msgspec.Struct):
    """What is documented around the contacts."""

    pagination: _Pagination


_QUOTES = 2 * (len(_Envelope.__struct_fields__) + len(_Pagination.__struct_fields__))


def decode_page(body: bytes) -> ContactPage | Undecodable:
    """Return the page that *body* holds, or what is wrong with it."""
    if holds_too_much(body):
        return TOO_MUCH
    body = body.removeprefix(codecs.BOM_UTF8)
    page = _structured(_from_bytes, body)
    if page is not None:
        return page
    content = parse(body)
    if isinstance(content, Undecodable):
        return content
    page_or_problems = _structured(_from_data, content) or structure_page(content)
    if isinstance(page_or_problems, ContactPage):
        return page_or_problems
    return Undecodable(page_or_problems, broken=False)


def _structured(converter: cattrs.Converter, value: Any) -> ContactPage | None:
    try:
        return converter.structure(value, ContactPage)
    except Exception:  # noqa: BLE001 - whatever it was, the next way finds its place
        return None


def _converter(structure: Callable[[Any, Any], ContactPage]) -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(ContactPage, structure)
    return converter


def _page_from_bytes(body: bytes, _cl: Any) -> ContactPage:
    opening = _OPENING.match(body)
    place = body.rfind(b'"pagination"')
    comma = body.rfind(b",", 0, place) if place >= 0 else -1
    if opening is None or comma < opening.end() or body[comma + 1 : place].strip(_SPACE):
        raise MisfitError("contacts and pagination expected, in this order")
    # All of the body is one of the two, so that none of its keys goes unseen.
    pagination = _pagination_from_bytes(b"{" + body[place:])
    contacts = documented_contacts(memoryview(body)[opening.end() : comma])
    return ContactPage(contacts, pagination)


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


def _page_from_data(content: Any, _cl: Any) -> ContactPage:
    pagination = _pagination_from_data(content)
    return ContactPage(loose_contacts(content["contacts"]), pagination)


def _pagination_from_data(envelope: dict[str, Any]) -> Pagination:
    page = structure_page({**envelope, "contacts": []})
    if not isinstance(page, ContactPage):
        raise MisfitError("no credible pagination")
    return page.pagination


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_from_bytes = _converter(_page_from_bytes)
_from_data = _converter(_page_from_data)
