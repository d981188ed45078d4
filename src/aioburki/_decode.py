"""Decode: the bytes of an answer become a `ContactPage`, or a list of what is wrong with them.

A page in the API's documented shape goes to msgspec in one piece: into strict rows, which
refuse what nobody has documented, and from these into the attrs classes, both in C. Any other
takes the tolerant way through cattrs, which is four times as long; both agree on every page
that both accept.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import attrs
import cattrs
import msgspec

from ._models import Contact, ContactData, ContactPage
from ._parse import Undecodable, is_nested_too_deeply, parse
from ._structure import MOST_ROWS, MisfitError, plain, structure_page

Data = TypeVar("Data")

_SPACE = b" \t\r\n"
_OPENING = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"contacts"[ \t\r\n]*:')

# Free-form JSON, at most four levels of it: what is nested deeper is looked at the other way.
_Scalar = str | int | float | bool | None
_Flat = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Nested = _Scalar | list[_Flat] | dict[str, _Flat]
_Deep = _Scalar | list[_Nested] | dict[str, _Nested]
_FreeForm = dict[str, _Scalar | list[_Deep] | dict[str, _Deep]]


class _Data(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What is documented of contact_data, and nothing else, so that `extra` is empty."""

    extra: ClassVar[dict[str, Any]] = {}  # each ContactData gets a copy

    company: str | None = None
    source: str | None = None
    variable_values: _FreeForm = {}
    custom_fields: _FreeForm = {}


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What is documented of a contact, with timestamps that have a zone."""

    id: int
    phone_number: str
    contact_data: _Data
    status: str
    attempts: int = 0
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    last_attempt_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _LooseRow(msgspec.Struct, Generic[Data], gc=False):
    """What a contact cannot do without, with whatever else the API may make of it."""

    id: int
    phone_number: str
    status: str
    contact_data: Data
    attempts: int | None = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


def decode_page(body: bytes) -> ContactPage | Undecodable:
    """Return the page that *body* holds, or what is wrong with it."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return _whole_pages.structure(body, ContactPage)
    except Exception:  # noqa: BLE001, S110 - whatever it was, the tolerant way finds its place
        pass
    content = parse(body)
    if isinstance(content, Undecodable):
        return content
    page = structure_page(content)
    return page if isinstance(page, ContactPage) else Undecodable(page, broken=False)


def _page_from_bytes(body: bytes, _cl: Any) -> ContactPage:
    rows, envelope = _split(body)
    content = parse(envelope)
    if isinstance(content, Undecodable) or "contacts" in content:
        raise MisfitError("not a plain envelope")
    page = structure_page({**content, "contacts": []})
    if not isinstance(page, ContactPage):
        raise MisfitError("not a credible page")
    return attrs.evolve(page, contacts=_contacts(rows))


def _split(body: bytes) -> tuple[memoryview, bytes]:
    """Return the JSON of the contacts, and that of the envelope without them.

    Joined again they are *body*, so that none of its keys can go unseen.
    """
    opening = _OPENING.match(body)
    place = body.rfind(b'"pagination"')
    comma = body.rfind(b",", 0, place) if place >= 0 else -1
    if opening is None or comma < opening.end() or body[comma + 1 : place].strip(_SPACE):
        raise MisfitError("contacts and pagination, in this order, expected")
    return memoryview(body)[opening.end() : comma], b"{" + body[place:]


def _contacts(rows: memoryview) -> tuple[Contact, ...]:
    try:
        return _converted(_read_rows(rows))
    except msgspec.ValidationError:
        pass
    # What has no type here could be nested without end.
    if is_nested_too_deeply(bytes(rows), around=1):
        raise MisfitError("nested too deeply")
    try:
        loose: list[Any] = _read_loose_rows(rows)
    except msgspec.ValidationError:
        loose = _read_looser_rows(rows)
        for row in loose:
            row.contact_data = _structure_data(row.contact_data, ContactData)
    for row in loose:
        _fill_in(row)
    return _converted(loose)


def _converted(rows: Sequence[object]) -> tuple[Contact, ...]:
    if len(rows) > MOST_ROWS:
        raise MisfitError("not a credible page")
    return msgspec.convert(rows, tuple[Contact, ...], from_attributes=True)


def _fill_in(row: _LooseRow[Any]) -> None:
    """Count a null as no attempts yet, and give UTC to timestamps that came without a zone."""
    row.attempts = row.attempts or 0
    if row.created_at is not None and row.created_at.tzinfo is None:
        row.created_at = row.created_at.replace(tzinfo=UTC)
    if row.last_attempt_at is not None and row.last_attempt_at.tzinfo is None:
        row.last_attempt_at = row.last_attempt_at.replace(tzinfo=UTC)


_read_rows = msgspec.json.Decoder(list[_Row]).decode
_read_loose_rows = msgspec.json.Decoder(list[_LooseRow[_Data]]).decode
_read_looser_rows = msgspec.json.Decoder(list[_LooseRow[Any]]).decode
_structure_data = plain.get_structure_hook(ContactData)
_whole_pages = cattrs.Converter()
_whole_pages.register_structure_hook(ContactPage, _page_from_bytes)
