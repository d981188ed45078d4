"""JSON checks: the bytes of an answer become plain data, if they are JSON that can be trusted."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec

from .._page import Pagination

MAX_DEPTH = 32  # an imported field may hold lists and objects, but not without end
MAX_OBJECTS = 500_000  # fifty for each of ten times the contacts that the API allows

_OPENING = frozenset(b"{[")
_QUOTE = ord('"')
_UNSTRUCTURAL = bytes(set(range(256)) - set(b'"{}[]'))


@attrs.frozen
class Undecodable:
    """Why bytes are not a page; *problems* hold places and never a value.

    *broken* is True for bytes that are not JSON, as half an answer is: only those can be better
    in another attempt.
    """

    problems: tuple[str, ...]
    broken: bool


_TOO_DEEP = Undecodable((f"the JSON is nested deeper than {MAX_DEPTH} levels",), broken=False)
TOO_MUCH = Undecodable(
    (f"more than {MAX_OBJECTS:,} lists and objects cannot be right",), broken=False
)
_NO_JSON = Undecodable(("the body is not complete, valid JSON",), broken=True)


def holds_too_much(body: bytes) -> bool:
    """Return whether JSON holds more lists and objects than a page can; they take memory."""
    # Each of them takes at least two bytes, so that usual pages need not be counted.
    return len(body) > 2 * MAX_OBJECTS and body.count(b"{") + body.count(b"[") > MAX_OBJECTS


def parse(body: bytes, items_key: str) -> Any:
    """Return the data that *body* holds, or an `Undecodable`.

    A repeated key of the envelope (*items_key*, ``pagination`` and its fields) is refused: it is
    unknown which of the values is meant, and parsers take the last one without a warning.
    """
    if _is_nested_too_deeply(body):
        return _TOO_DEEP
    try:
        content = msgspec.json.decode(body)
    except ValueError:
        # msgspec refuses half a surrogate pair, which is legal in a text, as a name is.
        content = _parsed_by_json(body)
        body = _without_surrogates(body)
    if type(content) is dict and (repeated := _repeated_keys(body, items_key)):
        return Undecodable(tuple(f"{key}: given twice" for key in repeated), broken=False)
    return content


def _is_nested_too_deeply(body: bytes) -> bool:
    """Return whether the JSON in *body* is nested deeper than `MAX_DEPTH`."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two quotes side by side are an empty text or the border of two: without them, what is
    # left stands inside or outside of texts as it stood before.
    structure = body.translate(None, _UNSTRUCTURAL).replace(b'""', b"")
    if not _without_innermost(structure, MAX_DEPTH):
        return False
    depth, is_text = 0, False
    for byte in structure:
        if byte == _QUOTE:
            is_text = not is_text
        elif not is_text:
            depth += 1 if byte in _OPENING else -1
            if depth > MAX_DEPTH:
                return True
    return False


def _without_innermost(structure: bytes, levels: int) -> bytes:
    """Return brackets without the empty pairs, and those that are empty then, and so on."""
    for _ in range(levels // 2):
        structure = structure.replace(b"{}", b"").replace(b"[]", b"")
    return structure


def _parsed_by_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse, parse_float=_finite_float)
    except ValueError:
        return _NO_JSON


def _without_surrogates(body: bytes) -> bytes:
    """Return JSON of the same keys, as far as these are known, for msgspec to read."""
    body = body.replace(rb"\\", b"__")
    return body.replace(rb"\ud", rb"\uf").replace(rb"\uD", rb"\uf")


def _repeated_keys(body: bytes, items_key: str) -> list[str]:
    """Return the keys of the envelope, and of its pagination, that occur more than once."""
    keys, members = _members(body)
    repeated = [key for key in (items_key, "pagination") if keys.count(key) > 1]
    said = bytes(members.get("pagination", b""))
    if not repeated and said.startswith(b"{"):
        keys, _ = _members(said)
        known = [field.name for field in attrs.fields(Pagination)]
        repeated = [f"pagination.{key}" for key in known if keys.count(key) > 1]
    return repeated


def _members(text: bytes) -> tuple[list[str], dict[str, msgspec.Raw]]:
    """Return the keys of a JSON object, each as often as it stands there, and their values."""
    keys: list[str] = []

    def note(_type: type[Any], key: str) -> _Key:
        keys.append(key)
        return _Key(key)

    members = msgspec.json.decode(text, type=dict[_Key, msgspec.Raw], dec_hook=note)
    return keys, {str(key): value for key, value in members.items()}


class _Key(str):
    """A key of an object, of a type of its own so that msgspec shows it to a hook."""

    __slots__ = ()


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite_float(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse("infinity")
