"""Rows: contacts on their way through msgspec, which builds the attrs classes from them in C.

msgspec could fill attrs classes itself, but it drops keys that they do not have, and asks each
object for each attribute afterwards, which for an empty slot takes as long as all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from .._models import Contact
from .tolerant import MAX_ROWS, MisfitError, structure_contact_data

Data = TypeVar("Data")
Row = TypeVar("Row")

# Free-form JSON, at most four levels of it: what is nested deeper is looked at the other way.
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
    """What is documented of contact_data, and nothing else, so that `extra` is empty."""

    extra: ClassVar[dict[str, Any]] = {}  # each ContactData gets a copy

    company: str | None = None
    source: str | None = None
    variable_values: _FreeForm = {}
    custom_fields: _FreeForm = {}


class _Row(_Masked, forbid_unknown_fields=True, gc=False):
    """What is documented of a contact, with timestamps that have a zone."""

    id: int
    phone_number: str
    contact_data: _Data
    status: str
    attempts: int = 0
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    last_attempt_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _NaiveRow(_Row, forbid_unknown_fields=True, gc=False):
    """The same with timestamps that may have none."""

    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class _LooseRow(_Masked, Generic[Data], gc=False):
    """What a contact cannot do without, with whatever else the API may make of it."""

    id: int
    phone_number: str
    status: str
    contact_data: Data
    attempts: int | None = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


def documented_rows(text: bytes | memoryview) -> Sequence[object]:
    """Return the rows of a JSON list, if all are exactly as the API documents contacts.

    Only the zone of their timestamps may be missing.

    Raises:
        ValueError: they are not; each of them may still be a contact.
        RecursionError: the same.
    """
    try:
        return _few_enough(_read_rows(text))
    except msgspec.ValidationError:
        rows = _few_enough(_read_naive_rows(text))
    for row in rows:
        _make_aware(row)
    return rows


def loose_rows(values: Any) -> Sequence[object]:
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
            row.contact_data = structure_contact_data(row.contact_data)
    for row in _few_enough(rows):
        row.attempts = row.attempts or 0
        _make_aware(row)
    return rows


def contacts_of(rows: Sequence[object]) -> tuple[Contact, ...]:
    """Return the contacts that *rows* hold."""
    return msgspec.convert(rows, tuple[Contact, ...], from_attributes=True)


def _few_enough(rows: list[Row]) -> list[Row]:
    if len(rows) > MAX_ROWS:
        raise MisfitError("too many contacts")
    return rows


def _make_aware(row: _Row | _LooseRow[Any]) -> None:
    """Give UTC to the timestamps that came without a zone."""
    created, tried = row.created_at, row.last_attempt_at
    # `replace` says the same, and takes as long as all the rest of a contact.
    if created is not None and created.tzinfo is None:
        row.created_at = datetime.combine(created, created.time(), UTC)
    if tried is not None and tried.tzinfo is None:
        row.last_attempt_at = datetime.combine(tried, tried.time(), UTC)


_read_rows = msgspec.json.Decoder(list[_Row]).decode
_read_naive_rows = msgspec.json.Decoder(list[_NaiveRow]).decode
