"""Whole number: the converter of all arguments that count something."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cyclopts import Parameter, Token

_DIGITS = re.compile(r"[+-]?[0-9]+", re.ASCII)


def _whole_number(_: object, tokens: Sequence[Token]) -> int:
    """Return the number that the argument is; cyclopts alone rounds 41.6 to 42.

    Raises:
        ValueError: it is not a whole number in decimal digits.
    """
    text = tokens[0].value
    if not _DIGITS.fullmatch(text):
        raise ValueError(f'unable to convert "{text}": it is not a whole number')
    return int(text)


WHOLE = Parameter(converter=_whole_number)
