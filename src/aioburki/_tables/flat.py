"""Flat: batches with a column for each key of the free-form fields, and the schema of them all.

A column has the type that its values have: bool, int64, double or text; JSON text where they are
mixed, lists or objects, or whole numbers beyond int64. Whole numbers beside fractions are double
if double holds them exactly. What a batch has seen is in the metadata of its fields, so that
batches can be written to disk and be conformed later; the result is the same however the rows
were divided into batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import pyarrow as pa

from .._contact_row import ContactRow
from .._surrogates import replace_surrogates
from .batch import FREE_FORM, PLAIN, TEXT, json_text, plain_columns, texts
from .error import TableError

# Each row has a cell in every column. So many columns of 1,000 rows take some 50 MB.
MAX_COLUMNS = 5000

_KINDS = b"aioburki.kinds"
_NUMBERS = frozenset({"int", "float"})
_TYPES: dict[frozenset[str], pa.DataType] = {
    frozenset[str](): TEXT,
    frozenset({"bool"}): pa.bool_(),
    frozenset({"int"}): pa.int64(),
    frozenset({"long"}): pa.int64(),
    frozenset({"int", "long"}): pa.int64(),
    frozenset({"float"}): pa.float64(),
    _NUMBERS: pa.float64(),
    frozenset({"text"}): TEXT,
}
_EXACT = 2**53
_INT64 = 2**63

Kinds = frozenset[str]
"""What a column's values are: bool, int (exact as double), long, float, text, json."""

ColumnType = Literal["bool", "int64", "double", "string", "json"]
"""The type of a flat column; json is text that holds any JSON value."""

# What a column of a type that is known beforehand can hold.
_HELD: dict[ColumnType, Kinds] = {
    "string": frozenset({"text"}),  # the first, because it is the type of a column of nulls
    "bool": frozenset({"bool"}),
    "int64": frozenset({"int", "long"}),
    "double": _NUMBERS,
    "json": frozenset({"bool", "int", "long", "float", "text", "json"}),
}


class FlatSchema:
    """The schema of all batches that were added, and how to conform them to it."""

    def __init__(self) -> None:
        # By free-form field, so that its columns are together; in order of first occurrence.
        self._kinds: dict[str, dict[str, Kinds]] = {name: {} for name in FREE_FORM}
        self._schema: pa.Schema | None = None
        self._is_fixed = False

    @classmethod
    def fixed(cls, columns: Mapping[str, ColumnType]) -> Self:
        """Return a schema with these flat columns, to which no batch can add any."""
        schema = cls()
        schema._record({name: _HELD[kind] for name, kind in columns.items()})
        schema._is_fixed = True
        return schema

    def add(self, schema: pa.Schema) -> None:
        """Record the columns of a flat batch.

        Raises:
            ResponseDecodeError: there are more than `MAX_COLUMNS`; or this schema is `fixed` and
                cannot hold all values of the batch.
        """
        kinds = {field.name: _kinds_of(field) for field in list(schema)[len(PLAIN) :]}
        del schema  # error reporters show local variables, and it shows keys
        if self._is_fixed:
            error = self._misfit(kinds)
            del kinds
            if error is not None:
                raise error
            return
        self._record(kinds)
        del kinds
        _check_number(sum(map(len, self._kinds.values())))

    def merge(self, other: FlatSchema) -> None:
        """Record the columns of another schema, which was made of other batches.

        Raises:
            ResponseDecodeError: there are more than `MAX_COLUMNS`.
        """
        self._record(dict(other._columns()))
        _check_number(sum(map(len, self._kinds.values())))

    @property
    def columns(self) -> dict[str, ColumnType]:
        """The flat columns and their types, as `fixed` takes them."""
        return {name: _column_type(seen) for name, seen in self._columns()}

    @property
    def schema(self) -> pa.Schema:
        """The plain columns, then one for each key that has occurred, by field."""
        if self._schema is None:
            fields = [pa.field(name, _type(seen)) for name, seen in self._columns()]
            self._schema = pa.schema([*PLAIN, *fields])
        return self._schema

    def conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return *batch*, whose schema was added, with the columns of `schema`."""
        own = {field.name: index for index, field in enumerate(batch.schema)}
        columns: list[pa.Array[Any]] = list(batch.columns[: len(PLAIN)])
        for name, seen in self._columns():
            if name in own:
                index = own[name]
                columns.append(_converted(batch.column(index), batch.schema.field(index), seen))
            else:
                columns.append(_nulls(batch.num_rows, _type(seen)))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _record(self, columns: Mapping[str, Kinds]) -> None:
        self._schema = None
        for name, seen in columns.items():
            kinds = self._kinds[name.partition(".")[0]]
            kinds[name] = kinds.get(name, Kinds()) | seen

    def _misfit(self, columns: Mapping[str, Kinds]) -> TableError | None:
        """Return an error if there is no column for these values; no key that is new is shown."""
        own = dict(self._columns())
        unknown = sum(name not in own for name in columns)
        if unknown:
            return TableError(f"contacts have keys without a column, {unknown:,} at least")
        wrong = [name for name, seen in columns.items() if not seen <= own[name]]
        if not wrong:
            return None
        return TableError(
            f"contacts have values that {wrong[0]!r}, a column of type "
            f"{_column_type(own[wrong[0]])}, cannot hold"
        )

    def _columns(self) -> list[tuple[str, Kinds]]:
        return [item for columns in self._kinds.values() for item in columns.items()]


def flat_batch(rows: Sequence[ContactRow]) -> pa.RecordBatch:
    """Return *rows* with a column such as ``variable_values.name`` for each key that occurs.

    Raises:
        ResponseDecodeError: there are more than `MAX_COLUMNS`, or a number does not fit.
    """
    try:
        return _flat_batch(rows)
    except TableError as error:
        # The frames hold values, which error reporters show.
        raise error.with_traceback(None) from None


def _flat_batch(rows: Sequence[ContactRow]) -> pa.RecordBatch:
    cells: dict[str, dict[int, Any]] = {}
    for field in FREE_FORM:
        prefix = f"{field}."
        for index, row in enumerate(rows):
            mapping: Mapping[str, Any] = getattr(row.contact_data, field)
            for key, value in mapping.items():
                cells.setdefault(prefix + key, {})[index] = value
        _check_number(len(cells))
    named: dict[str, dict[int, Any]] = {}
    for key, values in cells.items():
        named.setdefault(replace_surrogates(key), {}).update(values)
    fields, columns = list(PLAIN), plain_columns(rows)
    for name, values in named.items():
        kinds = frozenset({_kind(value) for value in values.values() if value is not None})
        metadata = {_KINDS: ",".join(sorted(kinds)).encode()}
        fields.append(pa.field(name, _kept_type(kinds), metadata=metadata))
        columns.append(_array([values.get(index) for index in range(len(rows))], kinds))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if -_EXACT <= value <= _EXACT:
            return "int"
        return "long" if -_INT64 <= value < _INT64 else "json"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "json"


def _column_type(kinds: Kinds) -> ColumnType:
    """Return the type of a column that can hold values of these kinds."""
    return next(kind for kind, held in _HELD.items() if kinds <= held)


def _type(kinds: Kinds) -> pa.DataType:
    return _TYPES.get(kinds, TEXT)


def _is_typed(kinds: Kinds) -> bool:
    """Return whether a batch keeps values of these kinds as they are, and not as JSON text."""
    return kinds in _TYPES and kinds != _NUMBERS


def _kept_type(kinds: Kinds) -> pa.DataType:
    return _type(kinds) if _is_typed(kinds) else TEXT


def _array(values: Sequence[Any], kinds: Kinds) -> pa.Array[Any]:
    if not _is_typed(kinds):
        values = [None if value is None else json_text(value) for value in values]
    kept = _kept_type(kinds)
    return texts(values) if kept == TEXT else pa.array(values, kept)


def _converted(column: pa.Array[Any], field: pa.Field[Any], seen: Kinds) -> pa.Array[Any]:
    """Return the *column* of a batch in the type of all values that were *seen*."""
    own, wanted = _kinds_of(field), _type(seen)
    if not own:
        return _nulls(len(column), wanted)
    if seen in _TYPES:  # the same type, or double, to which the JSON text of numbers is cast too
        cast: pa.Array[Any] = column.cast(wanted)
        return cast
    if not _is_typed(own):
        return column
    values = [None if value is None else json_text(value) for value in column.to_pylist()]
    return pa.array(values, TEXT)


def _nulls(count: int, kind: Any) -> pa.Array[Any]:
    column: pa.Array[Any] = pa.nulls(count, kind)
    return column


def _kinds_of(field: pa.Field[Any]) -> Kinds:
    return Kinds((field.metadata or {})[_KINDS].decode().split(",")) - {""}


def _check_number(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise TableError(
            f"the free-form fields have more than {MAX_COLUMNS:,} different keys, too many for a "
            "column each: leave out flatten=True"
        )
