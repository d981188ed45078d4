"""Deserialize: plain data, as `to_dict` returns it, to data objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, overload

import attrs
import cattrs

from ._decoding import (
    Hook,
    MisfitError,
    fields_hook,
    first,
    problems_of,
    read_bool,
    read_datetime,
    read_integer,
    read_object,
    read_text,
)
from ._errors import ConfigurationError
from ._events import PageFetched, PauseStarted, PullStarted, RequestFinished, RetryScheduled
from ._models import Contact, ContactData, ContactPage, ContactStatus
from ._page import Pagination
from ._report import PullReport

T = TypeVar("T")

# Each after those that it holds.
_KINDS: tuple[type[Any], ...] = (
    ContactData,
    Contact,
    Pagination,
    ContactPage,
    PullReport,
    PullStarted,
    RequestFinished,
    PageFetched,
    RetryScheduled,
    PauseStarted,
)
_FREE_FORM = ("variable_values", "custom_fields", "extra")


@overload
def from_dict(cls: type[T], data: Mapping[str, Any]) -> T: ...


@overload
def from_dict(cls: type[T], data: Sequence[Mapping[str, Any]]) -> list[T]: ...


def from_dict(cls: type[T], data: Any) -> T | list[T]:
    """Return the data object that *data* was made of by `to_dict`; of a list, a list of them.

    Whatever `json.loads` makes of the JSON text of *data* gives an equal object.
    ``from_dict(Contact, to_dict(contact)) == contact``.

    Args:
        cls: `Contact`, `ContactData`, `Pagination`, `ContactPage`, `PullReport` or an event class,
            but not `PullFinished`, which holds an error.
        data: a dict with the attribute names of *cls*, or a list of such dicts. Attributes that
            have a default may be absent. Datetimes are ISO 8601 texts or `datetime` objects, and
            in UTC where they have no zone.

    Raises:
        ConfigurationError: *data* is something else, or has other keys; the text says where, and
            shows no values.
        TypeError: *cls* is something else.
    """
    is_known = cls in _KINDS
    many = isinstance(data, list | tuple)
    values = list(data) if many else [data]
    made, problems = _structured(cls, values, many=many) if is_known else ([], "")
    del data, values  # before anything is raised: tracebacks may show local variables
    if not is_known:
        names = ", ".join(kind.__name__ for kind in _KINDS)
        raise TypeError(f"from_dict makes one of {names}, not {getattr(cls, '__name__', cls)!s}")
    if problems:
        raise ConfigurationError(f"this is not what to_dict returns for {cls.__name__}: {problems}")
    return made if many else made[0]


def _structured(cls: type[T], values: list[Any], *, many: bool) -> tuple[list[T], str]:
    """Return the objects that *values* hold, and the problems of the first that holds none."""
    quick, made = _converter(detailed=False), list[T]()
    for index, value in enumerate(values):
        try:
            made.append(quick.structure(value, cls))
        except Exception:  # noqa: BLE001 - cattrs groups what hooks raise, or passes it on
            place = f"data[{index}]" if many else "data"
            found = problems_of(quick, _converter(detailed=True), value, cls, place)
            return made, "; ".join(first(found))
    return made, ""


def _read_number(value: Any, _type: object = None) -> float:
    if type(value) is int or type(value) is float:
        return float(value)
    raise MisfitError("expected a number")


def _read_moment(value: Any, _type: object = None) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return read_datetime(value)


def _read_status(value: Any, _type: object = None) -> ContactStatus:
    return value if isinstance(value, ContactStatus) else ContactStatus(read_text(value))


def _read_free_form(value: Any, _type: object = None) -> dict[str, Any]:
    return dict(read_object(value))  # a copy, as `to_dict` makes one


@cache
def _converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(int, read_integer)
    converter.register_structure_hook(float, _read_number)
    converter.register_structure_hook(str, read_text)
    converter.register_structure_hook(bool, read_bool)
    converter.register_structure_hook(datetime, _read_moment)
    converter.register_structure_hook(ContactStatus, _read_status)
    for kind in _KINDS:
        converter.register_structure_hook(kind, _hook(converter, kind))
    return converter


def _hook(converter: cattrs.Converter, cl: type[Any]) -> Hook[Any]:
    """Return a hook that structures a dict as *cl*, if it has no keys but its attributes."""

    def read_list(value: Any, type_: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise MisfitError("expected a list")
        return converter.structure(value, type_)

    hooks: dict[str, Hook[Any]] = {}
    for field in attrs.fields(cl):
        if field.name in _FREE_FORM:
            hooks[field.name] = _read_free_form
        elif str(field.type).startswith("tuple["):
            hooks[field.name] = read_list
    by_field = fields_hook(converter, cl, None, **hooks)
    names = {field.name for field in attrs.fields(cl)}

    def hook(value: Any, _type: object) -> Any:
        if unknown := len(read_object(value).keys() - names):
            keys = "1 key that is" if unknown == 1 else f"{unknown} keys that are"
            raise MisfitError(f"{keys} no attribute of {cl.__name__}")
        return by_field(value, cl)

    return hook
