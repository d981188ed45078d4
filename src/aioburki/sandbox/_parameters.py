"""Parameters: integers in a URL, checked and reported as FastAPI does."""

from __future__ import annotations

import re
from typing import Any


def integer_or_problem(
    location: tuple[str, str], text: str, low: int | None = None, high: int | None = None
) -> int | dict[str, Any]:
    """Return *text* as an integer from *low* to *high*, or the problem for a 422 response.

    *location* says where the text stands, such as ``("query", "page")``.
    """
    problem: tuple[str, str] | None = None
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
    if number is None:
        problem = (
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        )
    elif low is not None and number < low:
        problem = ("greater_than_equal", f"Input should be greater than or equal to {low}")
    elif high is not None and number > high:
        problem = ("less_than_equal", f"Input should be less than or equal to {high}")
    if problem is None and number is not None:
        return number
    assert problem is not None
    return {"type": problem[0], "loc": list(location), "msg": problem[1], "input": text}
