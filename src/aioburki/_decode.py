"""Decode: the bytes of an answer become a `ContactPage`, or a list of what is wrong with them.

A page as the API documents it goes to msgspec whole, which builds the attrs classes itself.
Any other takes the tolerant way through cattrs, which is three times as long; both agree on
every page that both accept.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

import cattrs
import msgspec

from ._models import ContactPage
from ._parse import Undecodable, parse
from ._structure import MOST_ITEMS, MOST_PAGES, MOST_ROWS, MisfitError, structure_page


def decode_page(body: bytes) -> ContactPage | Undecodable:
    """Return the page that *body* holds, or what is wrong with it."""
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
    page = _read_page(body)
    _read_keys(body)
    said = page.pagination
    if not (
        said.page >= 1
        and said.per_page >= 1
        and 0 <= said.total_items <= MOST_ITEMS
        and 0 <= said.total_pages <= MOST_PAGES
        and len(page) <= MOST_ROWS
    ):
        raise MisfitError("not a credible page")
    _make_aware(page)
    return page


def _make_aware(page: ContactPage) -> None:
    """Give UTC to the timestamps that came without a zone; nobody else has the page yet."""
    for contact in page.contacts:
        created, tried = contact.created_at, contact.last_attempt_at
        if created is not None and created.tzinfo is None:
            object.__setattr__(contact, "created_at", created.replace(tzinfo=UTC))
        if tried is not None and tried.tzinfo is None:
            object.__setattr__(contact, "last_attempt_at", tried.replace(tzinfo=UTC))


class _DocumentedData(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The keys of contact_data that are documented, unread: others belong into `extra`."""

    company: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()
    variable_values: msgspec.Raw = msgspec.Raw()
    custom_fields: msgspec.Raw = msgspec.Raw()


class _KeysOfContact(msgspec.Struct, gc=False):
    contact_data: _DocumentedData


class _KeysOfPage(msgspec.Struct, gc=False):
    contacts: list[_KeysOfContact]


_read_page = msgspec.json.Decoder(ContactPage).decode
# msgspec drops a key that an attrs class does not have; this refuses it, at a quarter of the cost.
_read_keys = msgspec.json.Decoder(_KeysOfPage).decode
_whole_pages = cattrs.Converter()
_whole_pages.register_structure_hook(ContactPage, _page_from_bytes)
