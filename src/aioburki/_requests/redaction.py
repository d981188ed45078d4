"""Redaction: the detail of an error response, without secrets and personal data.

The API's errors are ``{"detail": "…"}``. A 422 has a list in its place,
``[{"loc": […], "msg": "…", "type": "…"}]``. FastAPI adds the refused value as ``input``, so only
``loc`` and ``msg`` are read.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote

import attrs

from .._settings import Secret

MAX_DETAIL = 500
MAX_PROBLEMS = 20
# Shorter keys are searched for as whole words only, and not encoded: a few characters occur in
# ordinary words.
MIN_ENCODED = 8

# Seven digits or more, with up to three separators between two of them. E.164 allows 15 digits.
_PHONE_NUMBER = re.compile(r"\+?\(?\d(?:[\W_]{0,3}\d){6,}")
_MASK = "[API key]"
_CREDENTIAL = re.compile(rf"(?i)\bbearer\s+(?!{re.escape(_MASK)})\S+")


@attrs.frozen
class Detail:
    """The detail of an error response as one text, and one line for each problem of a 422."""

    text: str | None = None
    problems: tuple[str, ...] = ()


def read_detail(body: bytes, secret: Secret) -> Detail:
    """Return the detail of an error response; an empty one if *body* has none or is no JSON.

    *secret* (the API key), phone numbers and control characters are masked or escaped.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return Detail()
    detail = cast(dict[str, Any], content).get("detail") if isinstance(content, dict) else None
    if isinstance(detail, str):
        return Detail(text=safe_text(detail, secret) or None)
    if isinstance(detail, list):
        items: list[Any] = detail[:MAX_PROBLEMS]
        problems = tuple(_problem(item, secret) for item in items)
        return Detail(text=safe_text("; ".join(problems), secret) or None, problems=problems)
    return Detail()


def safe_text(text: str, secret: Secret) -> str:
    """Return at most 500 printable characters of *text*, with keys and phone numbers masked.

    Masked are *secret*, in percent-encoding and base64 too, any other bearer token, and whatever
    looks like a phone number.
    """
    # The key is masked before the text is cut: half of it would not be recognised.
    text = without_key(text, secret)[: MAX_DETAIL * 10]
    text = _CREDENTIAL.sub(_MASK, text)
    text = _PHONE_NUMBER.sub("[number]", text)
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def without_key(text: str, secret: Secret) -> str:
    """Return *text* with *secret* masked, in percent-encoding and base64 too."""
    for form in _forms(secret):
        text = text.replace(form, _MASK)
    if len(secret.value) < MIN_ENCODED:  # such as "any", which is a part of words
        # What is masked already is kept: the key may be a word of the mask, such as "key".
        word = rf"(?<!\w){re.escape(secret.value)}(?!\w)"
        text = re.sub(rf"{re.escape(_MASK)}|{word}", _MASK, text)
    return text


def _forms(secret: Secret) -> Iterator[str]:
    """Yield a *secret* of usual length: plain, percent-encoded, and in base64 at any offset."""
    if len(secret.value) < MIN_ENCODED:
        return
    yield secret.value
    yield quote(secret.value, safe="")
    for start in range(3):  # bytes before the key in its first group of three
        encoded = base64.b64encode(bytes(start) + secret.value.encode()).decode()
        whole = encoded[-(-start * 4 // 3) : (start + len(secret.value)) * 4 // 3]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def _problem(item: Any, secret: Secret) -> str:
    if not isinstance(item, dict):
        return "a problem without a description"
    problem = cast(dict[str, Any], item)
    place = problem.get("loc")
    parts: list[Any] = place if isinstance(place, list) else ["request"]
    where = ".".join(str(part) for part in parts)
    return safe_text(f"{where}: {problem.get('msg', 'not accepted')}", secret)
