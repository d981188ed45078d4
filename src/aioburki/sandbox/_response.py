"""Answer: what the sandbox answers a request with."""

from __future__ import annotations

import attrs
import msgspec


@attrs.frozen
class Answer:
    """Hold what the sandbox answers; *fault* says how the connection fails, if it does."""

    status: int
    body: bytes = attrs.field(repr=False)
    headers: dict[str, str]
    fault: str | None = None


def json_answer(status: int, content: object, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer that holds *content* as JSON."""
    kind = {"content-type": "application/json"}
    return Answer(status, msgspec.json.encode(content), kind | (headers or {}))


def refusal(status: int, detail: object, headers: dict[str, str] | None = None) -> Answer:
    """Return an error as the API shapes them."""
    return json_answer(status, {"detail": detail}, headers)
