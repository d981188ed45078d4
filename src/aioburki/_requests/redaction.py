"""Detail: what an error answer gives as its reason, made safe to show.

Facts of the API: errors are ``{"detail": "…"}``; a 422 has a list there,
``[{"loc": […], "msg": "…", "type": "…"}]``, which FastAPI fills with the refused value as
``input`` too. Only ``loc`` and ``msg`` are read.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote

import attrs

MAX_DETAIL = 500
MAX_PROBLEMS = 20
# What a few characters become in base64 stands in many a word.
MIN_ENCODED = 8

# E.164 allows 15 digits; separators are what people type between them.
_PHONE_NUMBER = re.compile(r"\+?\(?\d(?:[\W_]{0,3}\d){6,}")
_CREDENTIAL = re.compile(r"(?i)\bbearer\s+\S+")


@attrs.frozen
class Detail:
    """Hold the reason in words, and one line for each problem of a 422."""

    text: str | None = None
    problems: tuple[str, ...] = ()


def read_detail(body: bytes, secret: str) -> Detail:
    """Return what *body* gives as the reason; empty where it gives none or is no JSON.

    Without *secret*, phone numbers and control characters.
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


def safe_text(text: str, secret: str) -> str:
    """Return at most 500 characters of *text*, printable, with what must not be shown masked."""
    # The key is masked before anything is cut, lest half of it remain.
    for form in _forms(secret):
        text = text.replace(form, "[API key]")
    text = text[: MAX_DETAIL * 10]
    text = _CREDENTIAL.sub("[API key]", text)
    text = _PHONE_NUMBER.sub("[number]", text)
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def _forms(secret: str) -> Iterator[str]:
    """Yield *secret* as it is, as a URL holds it, and as base64 does wherever it begins."""
    yield secret
    if len(secret) < MIN_ENCODED:
        return
    yield quote(secret, safe="")
    for start in range(3):  # bytes of a group of three that something else takes
        encoded = base64.b64encode(bytes(start) + secret.encode()).decode()
        whole = encoded[-(-start * 4 // 3) : (start + len(secret)) * 4 // 3]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def _problem(item: Any, secret: str) -> str:
    if not isinstance(item, dict):
        return "a problem without a description"
    problem = cast(dict[str, Any], item)
    place = problem.get("loc")
    parts: list[Any] = place if isinstance(place, list) else ["request"]
    where = ".".join(str(part) for part in parts)
    return safe_text(f"{where}: {problem.get('msg', 'not accepted')}", secret)
