"""Problems: the places and reasons of what a converter refuses, as text without the values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import cattrs

from .fields import reason_of

MAX_PROBLEMS = 20


def first(problems: Iterator[str]) -> tuple[str, ...]:
    """Return the first `MAX_PROBLEMS` of *problems*, and that there are more."""
    found = tuple(islice(problems, MAX_PROBLEMS + 1))
    return (*found[:MAX_PROBLEMS], "and more") if len(found) > MAX_PROBLEMS else found


def problems_of(
    quick: cattrs.Converter, detailed: cattrs.Converter, value: Any, cl: type[Any], place: str
) -> Iterator[str]:
    """Yield the problems that *detailed* names in *value*, at *place*, if *quick* refuses it."""
    if _error_of(quick, value, cl) is None:
        return
    error = _error_of(detailed, value, cl)
    if error is not None:
        for line in cattrs.transform_error(error, path=place, format_exception=_describe):
            yield _place_first(line)


def _error_of(converter: cattrs.Converter, value: Any, cl: type[Any]) -> Exception | None:
    try:
        converter.structure(value, cl)
    except Exception as error:  # noqa: BLE001 - cattrs groups what hooks raise, or passes it on
        return error
    return None


def _describe(error: BaseException, _type: type[Any] | None) -> str:
    return reason_of(error)


def _place_first(line: str) -> str:
    what, _, place = line.rpartition(" @ ")
    return f"{place.removeprefix('$').removeprefix('.') or 'body'}: {what}"
