"""Validation of arguments; each error names the argument and says what is allowed."""

from __future__ import annotations

import math
import operator
from typing import SupportsIndex

from ._errors import ConfigurationError


def whole_number(name: str, value: SupportsIndex, *, low: int, high: int | None = None) -> int:
    """Return *value* as an int from *low* to *high*.

    Raises:
        ConfigurationError: *value* is not a whole number in this range.
    """
    allowed = f"from {low} to {high:,}" if high is not None else f"of at least {low}"
    if not isinstance(value, bool):  # operator.index(True) is 1
        try:
            number = operator.index(value)
        except TypeError:
            number = None
        if number is not None and number >= low and (high is None or number <= high):
            return number
    raise ConfigurationError(f"{name} must be a whole number {allowed}, not {shown(value)}")


def seconds(name: str, value: float, *, low: float, high: float) -> float:
    """Return *value* as a float from *low* to *high* seconds.

    Raises:
        ConfigurationError: *value* is not a finite number in this range.
    """
    if _is_finite(value) and low <= value <= high:
        return float(value)
    raise ConfigurationError(
        f"{name} must be a number of seconds from {low:g} to {high:g}, not {shown(value)}"
    )


def requests_per_second(
    name: str, value: float | None, *, is_optional: bool = True
) -> float | None:
    """Return *value* as a float above 0, or None if *is_optional*.

    Raises:
        ConfigurationError: *value* is neither None nor a number above 0, up to 1,000,000.
    """
    if value is None and is_optional:
        return None
    if value is not None and _is_finite(value) and 0 < value <= 1_000_000:
        return float(value)
    allowed = "None or a number" if is_optional else "a number"
    raise ConfigurationError(
        f"{name} must be {allowed} of requests per second above 0, up to 1,000,000, "
        f"not {shown(value)}"
    )


def flag(name: str, value: bool) -> bool:
    """Return *value* if it is True or False, or raise `ConfigurationError`."""
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{name} must be True or False, not {shown(value)}")


def shown(value: object) -> str:
    """Return the text for a refused value in an error message: a number itself, else the type."""
    if value is None or isinstance(value, int | float):
        return repr(value)
    return f"a {type(value).__name__}"


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
