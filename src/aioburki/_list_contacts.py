"""List campaign contacts: all that is particular to ``GET /campaigns/{campaign_id}/contacts``.

Path, parameters and fields are those of the API's reference page. There are two readers with the
same results: cattrs hooks, and `_ContactRowReader`, which reads msgspec structs ("rows") that
msgspec then converts to attrs classes in C. msgspec can decode attrs classes directly, but drops
keys that they do not have, and then looks up each attribute of each object, which for an empty slot
takes as long as the rest of decoding.
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

from ._contact_row import ContactRow
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
from ._endpoint import Endpoint, id_orders
from ._errors import ConfigurationError
from ._models import Contact, ContactData, ContactStatus
from ._paging import Column, SortOrder
from ._validation import shown

# The API's reference page: per_page is 50 by default and 1,000 at most.
MAX_PER_PAGE = 1000

Data = TypeVar("Data")
Row = TypeVar("Row")

_DOCUMENTED = {field.name for field in attrs.fields(ContactData)} - {"extra"}


def requested_status(status: ContactStatus | str) -> ContactStatus:
    """Return *status* as a `ContactStatus`: a documented one, or one that the server has sent.

    Raises:
        ConfigurationError: it is a text that is not documented, or no text.
    """
    return status if isinstance(status, ContactStatus) else known_status(status)


def known_status(status: ContactStatus | str) -> ContactStatus:
    """Return *status* as one of the eight documented ones, or raise `ConfigurationError`."""
    known = [member.value for member in ContactStatus]
    if not isinstance(status, str):
        raise ConfigurationError(f"status must be one of {', '.join(known)}, not {shown(status)}")
    if status not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - imported only for a wrong status

        close = get_close_matches(status.lower(), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(
            f"status={status[:40]!r} is not a contact status: {hint}Allowed: {', '.join(known)}"
        )
    return ContactStatus(status)


def _read_status(value: Any, _type: object = None) -> ContactStatus:
    return ContactStatus(read_text(value))


def _contact_data_hook(converter: cattrs.Converter) -> Hook[Any]:
    by_field = fields_hook(
        converter,
        ContactData,
        company=read_optional_text,
        source=read_optional_text,
        variable_values=read_mapping,
        custom_fields=read_mapping,
        extra=read_mapping,
    )

    def hook(value: Any, cl: Any) -> Any:
        mapping = read_mapping(value)
        if not mapping.keys() <= _DOCUMENTED:
            extra = {key: mapping[key] for key in mapping if key not in _DOCUMENTED}
            mapping = {**mapping, "extra": extra}
        return by_field(mapping, cl)

    return hook


def _contact_hook(converter: cattrs.Converter) -> Hook[Any]:
    by_field = fields_hook(
        converter,
        Contact,
        {"contact_data": ContactData},
        contact_data=_contact_data_hook(converter),
        id=read_integer,
        phone_number=read_text,
        status=_read_status,
        attempts=read_optional_count,
        created_at=read_datetime,
        last_attempt_at=read_datetime,
    )

    def hook(value: Any, cl: Any) -> Any:
        if type(value) is dict and "contact_data" not in value:
            value = {**value, "contact_data": None}
        return by_field(value, cl)

    return hook


# Free-form JSON of at most four levels. A page with deeper JSON is read by the tolerant reader.
_Scalar = str | int | float | bool | None
_Flat = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Nested = _Scalar | list[_Flat] | dict[str, _Flat]
_FreeForm = dict[str, _Scalar | list[_Nested] | dict[str, _Nested]]


class _Masked(msgspec.Struct, gc=False):
    """Base class of rows: `repr` and rich show no values, as msgspec's own methods would."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class _DataRow(_Masked, forbid_unknown_fields=True, gc=False):
    """The documented fields of contact_data; any other field is refused, so `extra` is empty."""

    extra: ClassVar[dict[str, Any]] = {}  # each ContactData gets a copy

    company: str | None = None
    source: str | None = None
    variable_values: _FreeForm = {}
    custom_fields: _FreeForm = {}


class _Row(_Masked, forbid_unknown_fields=True, gc=False):
    """The documented fields of a contact; any other field, or a naive timestamp, is refused."""

    id: int
    phone_number: str
    contact_data: _DataRow
    status: str
    attempts: int = 0
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    last_attempt_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _NaiveRow(_Row, forbid_unknown_fields=True, gc=False):
    """The same; timestamps may be naive."""

    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class _LooseRow(_Masked, Generic[Data], gc=False):
    """The fields of a contact; other fields are ignored, optional ones may be null."""

    id: int
    phone_number: str
    status: str
    contact_data: Data
    attempts: int | None = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class _Rows:
    """Read contacts as msgspec structs."""

    @cached_property
    def _converter(self) -> cattrs.Converter:
        converter = cattrs.Converter(detailed_validation=False)
        converter.register_structure_hook(ContactData, _contact_data_hook(converter))
        return converter

    def documented_rows(self, text: bytes | memoryview) -> Sequence[object]:
        """Return the rows of a JSON list, if all are exactly as the API documents contacts.

        Only the zone of their timestamps may be absent.

        Raises:
            ValueError, RecursionError: they are not; each of them may still be a contact.
        """
        try:
            return _check_number(_read_rows(text))
        except msgspec.ValidationError:
            rows = _check_number(_read_naive_rows(text))
        for row in rows:
            _make_aware(row)
        return rows

    def loose_rows(self, values: Any) -> Sequence[object]:
        """Return the rows of a parsed JSON list, if its values have the documented types.

        Contacts may have new fields and naive timestamps. contact_data may have any form that
        cattrs can read.

        Raises:
            ValueError: they are not of these types; each of them may still be a contact.
            Exception: what cattrs raises for wrong contact_data.
        """
        try:
            rows: list[Any] = msgspec.convert(values, list[_LooseRow[_DataRow]])
        except msgspec.ValidationError:
            rows = msgspec.convert(values, list[_LooseRow[Any]])
            for row in rows:
                row.contact_data = self._converter.structure(row.contact_data, ContactData)
        for row in _check_number(rows):
            row.attempts = row.attempts or 0
            _make_aware(row)
        return rows


class _RowReader(_Rows):
    """Read rows, which have the attributes of contacts."""

    def items(self, rows: Sequence[Any]) -> tuple[ContactRow, ...]:
        """Return *rows* as they are."""
        return tuple(rows)


class _ContactRowReader(_Rows):
    """Read contacts through rows."""

    def items(self, rows: Sequence[object]) -> tuple[Contact, ...]:
        """Return the contacts that *rows* hold."""
        return msgspec.convert(rows, tuple[Contact, ...], from_attributes=True)


def _check_number(rows: list[Row]) -> list[Row]:
    if len(rows) > MAX_ROWS:
        raise MisfitError("too many contacts")
    return rows


def _make_aware(row: _Row | _LooseRow[Any]) -> None:
    """Set the zone of naive timestamps to UTC."""
    created, tried = row.created_at, row.last_attempt_at
    # `datetime.replace` does the same, and takes as long as the rest of a contact.
    if created is not None and created.tzinfo is None:
        row.created_at = datetime.combine(created, created.time(), UTC)
    if tried is not None and tried.tzinfo is None:
        row.last_attempt_at = datetime.combine(tried, tried.time(), UTC)


_read_rows = msgspec.json.Decoder(list[_Row]).decode
_read_naive_rows = msgspec.json.Decoder(list[_NaiveRow]).decode


_id, _created_at = attrgetter("id"), attrgetter("created_at")
_CREATED: tuple[Column[Any], ...] = (_created_at, _id)

# The API states no order. These are what such lists are sorted by.
_ORDERS: tuple[SortOrder[Any], ...] = (
    *id_orders(_id),
    SortOrder("created_at,id", _CREATED),
    SortOrder("-created_at,-id", _CREATED, is_falling=True),
    SortOrder("created_at,-id", _CREATED, is_mixed=True),
    SortOrder("-created_at,id", _CREATED, is_falling=True, is_mixed=True),
)

CONTACTS = Endpoint[Contact](
    path="/api/v1/campaigns/{campaign_id}/contacts",
    noun="contact",
    decoder=PageDecoder("contacts", Contact, hook=_contact_hook, rows=_ContactRowReader()),
    key=_id,
    orders=_ORDERS,
)

# The same list for tables. A page that the fast reader cannot read has contacts instead of rows.
CONTACT_ROWS = Endpoint[ContactRow](
    path=CONTACTS.path,
    noun=CONTACTS.noun,
    decoder=PageDecoder("contacts", Contact, hook=_contact_hook, rows=_RowReader()),
    key=_id,
    orders=_ORDERS,
)
