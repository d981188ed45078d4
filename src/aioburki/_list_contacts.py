"""List campaign contacts: all that is particular to ``GET /campaigns/{campaign_id}/contacts``.

The facts are those of the API's reference page. Contacts are read in two ways, which agree: by
msgspec structs ("rows"), of which msgspec makes the attrs classes in C, and by cattrs. msgspec
could fill attrs classes itself, but it drops keys that they do not have, and afterwards looks up
each attribute of each object, which for an empty slot takes as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import attrs
import cattrs
import msgspec

from ._decoding import (
    MAX_ROWS,
    Hook,
    MisfitError,
    PageDecoder,
    fields_hook,
    read_datetime,
    read_integer,
    read_mapping,
    read_optional_count,
    read_optional_text,
    read_text,
)
from ._errors import ConfigurationError
from ._models import Contact, ContactData, ContactStatus
from ._requests import Endpoint
from ._validation import shown

# The API's reference page: per_page is 50 by default and 1,000 at most.
MAX_PER_PAGE = 1000

Data = TypeVar("Data")
Row = TypeVar("Row")

_DOCUMENTED = {field.name for field in attrs.fields(ContactData)} - {"extra"}


def known_status(status: ContactStatus | str) -> ContactStatus:
    """Return *status* as one of the eight documented ones, or raise `ConfigurationError`."""
    known = [member.value for member in ContactStatus]
    if not isinstance(status, str):
        raise ConfigurationError(f"status must be one of {', '.join(known)}, not {shown(status)}")
    if status not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - no import waits for typing errors

        close = get_close_matches(status.lower(), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(
            f"status={status[:40]!r} is not a contact status: {hint}Allowed: {', '.join(known)}"
        )
    return ContactStatus(status)


def _read_status(value: Any, _type: object = None) -> ContactStatus:
    return ContactStatus(read_text(value))


def _contact_data_hook(converter: cattrs.Converter) -> Hook[ContactData]:
    by_field = fields_hook(
        converter,
        ContactData,
        company=read_optional_text,
        source=read_optional_text,
        variable_values=read_mapping,
        custom_fields=read_mapping,
        extra=read_mapping,
    )

    def hook(value: Any, cl: Any) -> ContactData:
        mapping = read_mapping(value)
        if not mapping.keys() <= _DOCUMENTED:
            extra = {key: mapping[key] for key in mapping if key not in _DOCUMENTED}
            mapping = {**mapping, "extra": extra}
        return by_field(mapping, cl)

    return hook


def _contact_hook(converter: cattrs.Converter) -> Hook[Contact]:
    converter.register_structure_hook(ContactData, _contact_data_hook(converter))
    by_field = fields_hook(
        converter,
        Contact,
        id=read_integer,
        phone_number=read_text,
        status=_read_status,
        attempts=read_optional_count,
        created_at=read_datetime,
        last_attempt_at=read_datetime,
    )

    def hook(value: Any, cl: Any) -> Contact:
        if type(value) is dict and "contact_data" not in value:
            value = {**value, "contact_data": None}
        return by_field(value, cl)

    return hook


# Free-form JSON, at most four levels of it: what is nested deeper is read by the tolerant reader.
_Scalar = str | int | float | bool | None
_Flat = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Nested = _Scalar | list[_Flat] | dict[str, _Flat]
_FreeForm = dict[str, _Scalar | list[_Nested] | dict[str, _Nested]]


class _Masked(msgspec.Struct, gc=False):
    """Rows whose values no traceback shows; msgspec's own `__rich_repr__` would."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class _Data(_Masked, forbid_unknown_fields=True, gc=False):
    """The documented fields of contact_data and no others, so that `extra` is empty."""

    extra: ClassVar[dict[str, Any]] = {}  # each ContactData gets a copy

    company: str | None = None
    source: str | None = None
    variable_values: _FreeForm = {}
    custom_fields: _FreeForm = {}


class _Row(_Masked, forbid_unknown_fields=True, gc=False):
    """The documented fields of a contact, with timestamps that have a zone."""

    id: int
    phone_number: str
    contact_data: _Data
    status: str
    attempts: int = 0
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    last_attempt_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _NaiveRow(_Row, forbid_unknown_fields=True, gc=False):
    """The same with timestamps that may have no zone."""

    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class _LooseRow(_Masked, Generic[Data], gc=False):
    """The fields of a contact, with others ignored and those null that may be."""

    id: int
    phone_number: str
    status: str
    contact_data: Data
    attempts: int | None = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class _ContactRows:
    """Read contacts by way of msgspec structs."""

    @cached_property
    def _converter(self) -> cattrs.Converter:
        converter = cattrs.Converter(detailed_validation=False)
        converter.register_structure_hook(ContactData, _contact_data_hook(converter))
        return converter

    def documented_rows(self, text: bytes | memoryview) -> Sequence[object]:
        """Return the rows of a JSON list, if all are exactly as the API documents contacts.

        Only the zone of their timestamps may be missing.

        Raises:
            ValueError: they are not; each of them may still be a contact.
            RecursionError: the same.
        """
        try:
            return _check_number(_read_rows(text))
        except msgspec.ValidationError:
            rows = _check_number(_read_naive_rows(text))
        for row in rows:
            _make_aware(row)
        return rows

    def loose_rows(self, values: Any) -> Sequence[object]:
        """Return the rows of a parsed JSON list, if what they hold has the documented types.

        Fields may be new, timestamps without a zone, and contact_data anything it can be.

        Raises:
            ValueError: they are not of these types; each of them may still be a contact.
            Exception: what cattrs raises for contact_data that is wrong.
        """
        try:
            rows: list[Any] = msgspec.convert(values, list[_LooseRow[_Data]])
        except msgspec.ValidationError:
            rows = msgspec.convert(values, list[_LooseRow[Any]])
            for row in rows:
                row.contact_data = self._converter.structure(row.contact_data, ContactData)
        for row in _check_number(rows):
            row.attempts = row.attempts or 0
            _make_aware(row)
        return rows

    def items(self, rows: Sequence[object]) -> tuple[Contact, ...]:
        """Return the contacts that *rows* hold."""
        return msgspec.convert(rows, tuple[Contact, ...], from_attributes=True)


def _check_number(rows: list[Row]) -> list[Row]:
    if len(rows) > MAX_ROWS:
        raise MisfitError("too many contacts")
    return rows


def _make_aware(row: _Row | _LooseRow[Any]) -> None:
    """Give UTC to the timestamps that came without a zone."""
    created, tried = row.created_at, row.last_attempt_at
    # `datetime.replace` does the same, and takes as long as all the rest of a contact.
    if created is not None and created.tzinfo is None:
        row.created_at = datetime.combine(created, created.time(), UTC)
    if tried is not None and tried.tzinfo is None:
        row.last_attempt_at = datetime.combine(tried, tried.time(), UTC)


_read_rows = msgspec.json.Decoder(list[_Row]).decode
_read_naive_rows = msgspec.json.Decoder(list[_NaiveRow]).decode

CONTACTS = Endpoint(
    path="/api/v1/campaigns/{campaign_id}/contacts",
    noun="contact",
    decoder=PageDecoder("contacts", Contact, hook=_contact_hook, rows=_ContactRows()),
    key=attrgetter("id"),
)
