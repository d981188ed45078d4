"""JSON checks: parse the body of a response, and refuse JSON that is unsafe or ambiguous."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec

from .._page import Pagination

MAX_DEPTH = 32  # levels; imported fields may hold lists and objects
MAX_KEYS = 1000  # of the envelope, and of its pagination; the API documents eight
MAX_OBJECTS = 500_000  # lists and objects; 50 for each of 10,000 contacts, ten pages' worth

_OPENING = frozenset(b"{[")
_QUOTE = ord('"')
_UNSTRUCTURAL = bytes(set(range(256)) - set(b'"{}[]'))


@attrs.frozen
class Undecodable:
    """Why a body is not a page.

    Attributes:
        problems: one line for each problem, with its place and without the value.
        broken: whether the body is not JSON, such as a truncated response. Only then may another
            attempt succeed.
        cause: the problem that makes it none; others may be of optional fields.
    """

    problems: tuple[str, ...]
    broken: bool
    cause: str = attrs.field(
        default=attrs.Factory(lambda self: self.problems[0], takes_self=True), eq=False
    )


_TOO_DEEP = Undecodable((f"the JSON is nested deeper than {MAX_DEPTH} levels",), broken=False)
TOO_MUCH = Undecodable(
    (f"more than {MAX_OBJECTS:,} lists and objects cannot be right",), broken=False
)
_TOO_MANY_KEYS = Undecodable(
    (f"more than {MAX_KEYS:,} keys beside the items cannot be right",), broken=False
)
_NO_JSON = Undecodable(("the body is not complete, valid JSON",), broken=True)


def holds_too_much(body: bytes) -> bool:
    """Return whether JSON holds more than `MAX_OBJECTS` lists and objects, which take memory."""
    # Each of them takes at least two bytes, so a body of usual size need not be searched.
    return len(body) > 2 * MAX_OBJECTS and body.count(b"{") + body.count(b"[") > MAX_OBJECTS


def parse(body: bytes, items_key: str) -> Any:
    """Return the data that *body* holds, or an `Undecodable`.

    A repeated key of the envelope (*items_key*, ``pagination`` and its fields) is refused: parsers
    keep the last value without a warning, and it may not be the one that is meant (RFC 8259,
    section 4).
    """
    if _is_nested_too_deeply(body):
        return _TOO_DEEP
    try:
        content = msgspec.json.decode(body)
    except ValueError:
        # msgspec refuses escapes of lone surrogates, which JSON allows in strings (RFC 8259, 8.2).
        content = _parsed_by_json(body)
        body = _without_surrogates(body)
    if type(content) is not dict:
        return content
    try:
        repeated = _repeated_keys(body, items_key)
    except msgspec.ValidationError:
        return _TOO_MANY_KEYS
    if repeated:
        return Undecodable(tuple(f"{key}: given twice" for key in repeated), broken=False)
    return content


def _is_nested_too_deeply(body: bytes) -> bool:
    """Return whether the JSON in *body* is nested deeper than `MAX_DEPTH`."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two adjacent quotes are an empty string, or the end of one string and the start of the next.
    # Removing both does not change which of the other bytes are inside a string.
    structure = body.translate(None, _UNSTRUCTURAL).replace(b'""', b"")
    if not _without_innermost(structure, MAX_DEPTH):
        return False
    depth, in_string = 0, False
    for byte in structure:
        if byte == _QUOTE:
            in_string = not in_string
        elif not in_string:
            depth += 1 if byte in _OPENING else -1
            if depth > MAX_DEPTH:
                return True
    return False


def _without_innermost(structure: bytes, levels: int) -> bytes:
    """Return *structure* without up to *levels* innermost levels of matching brackets."""
    for _ in range(levels // 2):
        structure = structure.replace(b"{}", b"").replace(b"[]", b"")
    return structure


def _parsed_by_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse, parse_float=_finite_float)
    except ValueError:
        return _NO_JSON


def _without_surrogates(body: bytes) -> bytes:
    """Return *body* with escapes of surrogates replaced, so that msgspec can read its keys.

    None of the documented keys has such an escape, so these are unchanged.
    """
    body = body.replace(rb"\\", b"__")
    return body.replace(rb"\ud", rb"\uf").replace(rb"\uD", rb"\uf")


def _repeated_keys(body: bytes, items_key: str) -> list[str]:
    """Return the keys of the envelope, and of its pagination, that occur more than once."""
    keys, members = _members(body)
    repeated = [key for key in (items_key, "pagination") if keys.count(key) > 1]
    pagination = bytes(members.get("pagination", b""))
    if not repeated and pagination.startswith(b"{"):
        keys, _ = _members(pagination)
        known = [field.name for field in attrs.fields(Pagination)]
        repeated = [f"pagination.{key}" for key in known if keys.count(key) > 1]
    return repeated


def _members(text: bytes) -> tuple[list[str], dict[str, msgspec.Raw]]:
    """Return the keys of a JSON object, with repeats, and the value of each key.

    Raises:
        msgspec.ValidationError: there are more than `MAX_KEYS`. To record a key takes
            microseconds, in which the event loop does not run.
    """
    keys: list[str] = []

    def record_key(_type: type[Any], key: str) -> _Key:
        if len(keys) == MAX_KEYS:
            raise ValueError("too many keys")
        keys.append(key)
        return _Key(key)

    members = msgspec.json.decode(text, type=dict[_Key, msgspec.Raw], dec_hook=record_key)
    return keys, {str(key): value for key, value in members.items()}


class _Key(str):
    """A key of a JSON object: a type that msgspec does not know, so that it calls the hook."""

    __slots__ = ()


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite_float(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse("infinity")
