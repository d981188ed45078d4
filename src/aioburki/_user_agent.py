"""User agent: what a user adds to the User-Agent header."""

from __future__ import annotations

import re

from ._errors import ConfigurationError
from ._validation import shown

MAX_LENGTH = 200

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PRODUCT = re.compile(rf"{_NAME}(/{_NAME})?")


def user_agent_suffix(text: str | None) -> str | None:
    """Return *text* if it can follow a product in a User-Agent header (RFC 9110, 10.1.5).

    Raises:
        ConfigurationError: it is not products and comments of printable ASCII characters.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise ConfigurationError(f"user_agent_suffix must be text or None, not {shown(text)}")
    if len(text) > MAX_LENGTH:
        raise ConfigurationError(f"user_agent_suffix has more than {MAX_LENGTH} characters")
    if not (text.isascii() and text.isprintable() and _are_products(text)):
        raise ConfigurationError(
            "user_agent_suffix must be products and comments, one space between two, such as "
            "'my-app/1.2' or 'my-app/1.2 (nightly import)', in printable ASCII characters"
        )
    return text


def _are_products(text: str) -> bool:
    position = 0
    while True:
        product = _PRODUCT.match(text, position)
        end = _end_of_comment(text, position) if product is None else product.end()
        if end is None or end == len(text):
            return end is not None
        if text[end] != " ":
            return False
        position = end + 1


def _end_of_comment(text: str, start: int) -> int | None:
    """Return where the comment ends that begins at *start*, or None if there is none."""
    if not text.startswith("(", start):
        return None
    depth = 0
    position = start
    while position < len(text):
        if text[position] == "\\":
            position += 1  # the next character stands for itself
        elif text[position] in "()":
            depth += 1 if text[position] == "(" else -1
        position += 1
        if depth == 0 and position <= len(text):
            return position
    return None
