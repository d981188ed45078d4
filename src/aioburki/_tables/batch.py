"""Batch: rows or contacts as Arrow columns, in one schema whatever they hold."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from .._contact_row import ContactRow
from .._models import ContactStatus
from .._surrogates import replace_surrogates
from .error import TableError

TEXT = pa.string()
STATUS = pa.dictionary(pa.int32(), TEXT)
TIME = pa.timestamp("us", tz="UTC")

# What a table has of a contact, but for its free-form fields.
_FIELDS: list[pa.Field[Any]] = [
    pa.field("id", pa.int64()),
    pa.field("phone_number", TEXT),
    pa.field("status", STATUS),
    pa.field("attempts", pa.int32()),
    pa.field("created_at", TIME),
    pa.field("last_attempt_at", TIME),
    pa.field("company", TEXT),
    pa.field("source", TEXT),
]
PLAIN = pa.schema(_FIELDS)
FREE_FORM = ("variable_values", "custom_fields", "extra")

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN = {status.value: index for index, status in enumerate(ContactStatus)}
# Where pandas is installed, the first call of `pa.array` imports it, which takes half a second.
# This one is in the thread that imports this module.
_DOCUMENTED = pa.array(list(_KNOWN), TEXT)
_encoder = msgspec.json.Encoder()


def contact_schema() -> pa.Schema:
    """Return the schema of every table that is not flattened; `Contacts.to_arrow` describes it."""
    return _SCHEMA


def contact_batch(rows: Sequence[ContactRow]) -> pa.RecordBatch:
    """Return *rows* as a batch in the `contact_schema`.

    Takes about as long as decoding them.

    Raises:
        ResponseDecodeError: an id is beyond int64, or a number of attempts beyond int32.
    """
    data = [row.contact_data for row in rows]
    # No column is in a local variable, which error reporters show, when the others are made.
    return pa.RecordBatch.from_arrays(
        [
            *plain_columns(rows),
            *(json_texts(list(map(attrgetter(name), data))) for name in FREE_FORM),
        ],
        schema=_SCHEMA,
    )


def plain_columns(rows: Sequence[ContactRow]) -> list[pa.Array[Any]]:
    """Return the columns of `PLAIN`."""
    data = [row.contact_data for row in rows]
    return [
        _integers(rows, "id"),
        texts([row.phone_number for row in rows]),
        _statuses([row.status for row in rows]),
        _integers(rows, "attempts"),
        _times([row.created_at for row in rows]),
        _times([row.last_attempt_at for row in rows]),
        texts([each.company for each in data]),
        texts([each.source for each in data]),
    ]


def texts(values: Sequence[str | None]) -> pa.Array[Any]:
    """Return a column of text; lone surrogates, which Arrow has no way to hold, become U+FFFD."""
    try:
        return pa.array(values, TEXT)
    except UnicodeEncodeError:
        clean = [value and replace_surrogates(value) for value in values]
        return pa.array(clean, TEXT)


def json_texts(values: Sequence[Any]) -> pa.Array[Any]:
    """Return a column of JSON text."""
    if not any(values):  # `extra` of documented contacts
        return pa.repeat("{}", len(values))
    try:
        lines = _encoder.encode_lines(values)
    except UnicodeEncodeError:
        return pa.array([json_text(value) for value in values], TEXT)
    # JSON without spaces has no line breaks. Arrow divides it in a quarter of Python's time.
    offsets = pa.py_buffer(array("i", [0, len(lines) - 1]))
    whole = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(lines))
    column: pa.Array[Any] = pc.split_pattern(whole, "\n").flatten()
    return column


def json_text(value: Any) -> str:
    """Return JSON without spaces; lone surrogates become U+FFFD, which every reader accepts."""
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return replace_surrogates(plain)


def _integers(rows: Sequence[ContactRow], name: str) -> pa.Array[Any]:
    kind: Any = PLAIN.field(name).type
    try:
        column: pa.Array[Any] = pa.array(list(map(attrgetter(name), rows)), kind)
    except (OverflowError, pa.ArrowInvalid):
        limit = 2 ** (kind.bit_width - 1)
        row = next(row for row in rows if not -limit <= getattr(row, name) < limit)
        error = TableError(f"contact {row.id}: its {name} is beyond {kind}")
        error.problems = (f"{name}: beyond {kind}",)
        raise error from None
    return column


def _statuses(values: Sequence[str]) -> pa.Array[Any]:
    """Return a column of statuses; the documented ones are always the first of its dictionary."""
    codes = list(map(_KNOWN.get, values))
    names: pa.Array[Any] = _DOCUMENTED
    if None in codes:
        index = dict(_KNOWN)
        # Cleaned first: a dictionary that had U+FFFD twice would make two groups of one text.
        clean = map(replace_surrogates, map(str.__str__, values))
        codes = [index.setdefault(value, len(index)) for value in clean]
        names = pa.array(list(index), TEXT)
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)


def _times(values: Sequence[datetime | None]) -> pa.Array[Any]:
    # Arrow converts differences to numbers, but asks each aware datetime for its offset.
    since = [None if value is None else value - _1970 for value in values]
    column: pa.Array[Any] = pa.array(since, pa.duration("us")).view(TIME)
    return column


_SCHEMA = pa.schema([*PLAIN, *(pa.field(name, TEXT) for name in FREE_FORM)])
