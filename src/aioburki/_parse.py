"""Parse: the bytes of an answer become plain data, if they are JSON."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec


@attrs.frozen
class Undecodable:
    """Say why bytes are no page of contacts; *problems* hold places and never a value.

    *broken* tells bytes that are no JSON at all, as half an answer is, from JSON that says
    something else: only the first can be better next time.
    """

    problems: tuple[str, ...]
    broken: bool


def parse(body: bytes) -> Any:
    """Return the data that *body* holds, or an `Undecodable`."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        return Undecodable(("the JSON is nested too deeply",), broken=False)
    except ValueError:
        pass
    # msgspec refuses two things that are legal: half a surrogate pair in a text, which a
    # contact's name may hold, and a byte order mark.
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite_float
        )
    except (ValueError, RecursionError):
        return Undecodable(("the body is not complete, valid JSON",), broken=True)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite_float(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse("infinity")
