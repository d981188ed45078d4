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
from typing import Any

import attrs
import cattrs

from ._models import Contact, ContactPage
from ._parse import TOO_MUCH, Undecodable, holds_too_much, parse
from ._rows import documented_contacts, loose_contacts
from ._structure import MisfitError, structure_page

_SPACE = b" \t\r\n"
_OPENING = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"contacts"[ \t\r\n]*:')


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
    envelope = parse(b"{" + body[place:])
    contacts = memoryview(body)[opening.end() : comma]
    if isinstance(envelope, Undecodable) or "contacts" in envelope:
        raise MisfitError("no plain envelope")
    return _page(envelope, documented_contacts(contacts))


def _page_from_data(content: Any, _cl: Any) -> ContactPage:
    return _page(content, loose_contacts(content["contacts"]))


def _page(envelope: dict[str, Any], contacts: tuple[Contact, ...]) -> ContactPage:
    page = structure_page({**envelope, "contacts": []})
    if not isinstance(page, ContactPage):
        raise MisfitError("no credible pagination")
    return attrs.evolve(page, contacts=contacts)


_from_bytes = _converter(_page_from_bytes)
_from_data = _converter(_page_from_data)
