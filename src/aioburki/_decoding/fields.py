"""Fields: how one value of parsed JSON is read, strictly, with errors that hold no value."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


def reason_of(error: BaseException) -> str:
    """Return what *error*, raised by a hook or by cattrs, means; without the value."""
    if isinstance(error, MisfitError):
        return str(error)
    return "missing" if isinstance(error, KeyError) else "cannot be read"


def expected(what: str, value: object) -> MisfitError:
    """Return the error for a *value* that should have been *what*."""
    got = _JSON_NAMES.get(type(value), f"a Python {type(value).__name__}")
    return MisfitError(f"expected {what}, got {got}")


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
    """Return the moment that *value* names, aware, in UTC where it names no zone; or None.

    A number, or a text of digits alone, is the time since 1970 in seconds or, from 12 digits on, in
    milliseconds. Eight digits are a date. Numbers that mean neither are refused.
    """
    if value is None or value == "":
        return None
    if type(value) is int or type(value) is float:
        moment = _since_1970(value)
    elif _NUMBER.fullmatch(read_text(value)):
        moment = _since_1970(float(value) if "." in value else int(value))
    else:
        moment = _rfc_3339(value) or _iso_8601(value)
    if moment is None:
        raise MisfitError("not an ISO 8601 date and time")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{9,}(\.[0-9]+)?")
# With fewer digits a number is no time of a contact, but a flag, a year or a count.
_MIN_SECONDS, _MIN_MILLISECONDS, _MAX_MILLISECONDS = 10**8, 10**11, 10**13

# The characters between date and time that are read: `datetime.fromisoformat` takes any, a digit
# too. The last group is the zone.
_DATE = r"([0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}(?:-?[0-9])?)"
_ISO_8601 = re.compile(_DATE + r"(?:[Tt ].*)?", re.DOTALL)
_END_OF_DAY = re.compile(_DATE + r"([Tt ])24((?::?00){0,2}(?:[.,]0+)?)(|[Zz]|[+-][0-9:]+)")
_LEAP_SECOND = re.compile(_DATE + r"([Tt ][0-9]{2}(:?)[0-9]{2}\3)60((?:[.,][0-9]+)?)(.*)")


def _since_1970(number: float) -> datetime | None:
    if _MIN_SECONDS <= number < _MIN_MILLISECONDS:
        return _1970 + timedelta(seconds=number)
    if _MIN_MILLISECONDS <= number < _MAX_MILLISECONDS:
        return _1970 + timedelta(milliseconds=number)
    return None


def _rfc_3339(text: str) -> datetime | None:
    # As the fast reader does it: Python rounds a ninth digit in another direction.
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None


def _iso_8601(text: str) -> datetime | None:
    later = timedelta()
    # Python has no second 60, and older versions have no hour 24; both are in ISO 8601.
    if match := _LEAP_SECOND.fullmatch(text):
        date, start, _, fraction, zone = match.groups()
        text, later = f"{date}{start}59{fraction}{zone}", timedelta(seconds=1)
    elif match := _END_OF_DAY.fullmatch(text):
        date, separator, rest, zone = match.groups()
        text, later = f"{date}{separator}00{rest}{zone}", timedelta(days=1)
    if not _ISO_8601.fullmatch(text):
        return None
    try:
        return (_rfc_3339(text) or datetime.fromisoformat(text)) + later
    except (ValueError, OverflowError):
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
