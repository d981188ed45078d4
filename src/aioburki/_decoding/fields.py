"""Fields: how one value of parsed JSON is read, strictly, with errors that hold no value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

MAX_PAGES = 10_000_000
MAX_ITEMS = MAX_PAGES * 1000

T = TypeVar("T")
Hook = Callable[[Any, Any], T]

_JSON_NAMES: dict[type[Any], str] = {
    bool: "true or false",
    dict: "an object",
    float: "a fraction",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "null",
}


class MisfitError(ValueError):
    """A value is not what was expected; the text says what was, without the value."""


def expected(what: str, value: object) -> MisfitError:
    """Return the error for a *value* that should have been *what*."""
    return MisfitError(f"expected {what}, got {_JSON_NAMES[type(value)]}")


def read_text(value: Any, _type: object = None) -> str:
    """Return *value* if it is a text."""
    if type(value) is str:
        return value
    raise expected("text", value)


def read_integer(value: Any, _type: object = None) -> int:
    """Return *value* if it is a whole number."""
    # `type`, because True is an int to isinstance, but never an id or a count.
    if type(value) is int:
        return value
    raise expected("a whole number", value)


def read_bool(value: Any, _type: object = None) -> bool:
    """Return *value* if it is true or false."""
    if type(value) is bool:
        return value
    raise expected("true or false", value)


def read_object(value: Any, _type: object = None) -> dict[str, Any]:
    """Return *value* if it is an object."""
    if type(value) is dict:
        mapping: dict[str, Any] = value
        return mapping
    raise expected("an object", value)


def read_optional_text(value: Any, _type: object = None) -> str | None:
    """Return *value* if it is a text or null."""
    return None if value is None else read_text(value)


def read_optional_count(value: Any, _type: object = None) -> int:
    """Return *value* if it is a whole number; 0 for null."""
    return 0 if value is None else read_integer(value)


def read_mapping(value: Any, _type: object = None) -> dict[str, Any]:
    """Return *value* if it is an object; an empty one for null, an empty text or list."""
    return {} if value is None or value in ("", []) else read_object(value)


def read_datetime(value: Any, _type: object = None) -> datetime | None:
    """Return the moment that *value* names, aware, in UTC where it names no zone; or None."""
    if value is None or value == "":
        return None
    moment = _rfc_3339(read_text(value)) or _iso_8601(value)
    if moment is None:
        raise MisfitError("not an ISO 8601 date and time")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rfc_3339(text: str) -> datetime | None:
    # As the fast reader does it: Python rounds a ninth digit in another direction.
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None


def _iso_8601(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def read_page_number(value: Any, _type: object = None) -> int:
    """Return *value* if it is a whole number of at least 1."""
    number = read_integer(value)
    if number < 1:
        raise MisfitError("must be at least 1")
    return number


def read_total_items(value: Any, _type: object = None) -> int:
    """Return *value* if it can be the number of items of a list."""
    return _read_total(value, MAX_ITEMS)


def read_total_pages(value: Any, _type: object = None) -> int:
    """Return *value* if it can be the number of pages of a list."""
    return _read_total(value, MAX_PAGES)


def _read_total(value: Any, maximum: int) -> int:
    number = read_integer(value)
    if number < 0:
        raise MisfitError("must not be negative")
    if number > maximum:
        raise MisfitError(f"more than {maximum:,} cannot be right")
    return number
