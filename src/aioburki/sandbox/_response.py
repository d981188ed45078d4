"""Sandbox response: what the sandbox sends back for one request."""

from __future__ import annotations

import attrs
import msgspec


@attrs.frozen
class SandboxResponse:
    """One response; its `repr` does not show the body.

    Attributes:
        status: HTTP status.
        body: the body; with a *fault* only part of it may be sent.
        headers: names in lower case.
        fault: how the connection fails instead of, or while, sending the response, by the names in
            `FAULTS` and `FAULTS_BY_NAME`; None if it does not fail.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    headers: dict[str, str]
    fault: str | None = None

    @property
    def half_body(self) -> bytes:
        """Return the first half of the body."""
        return self.body[: len(self.body) // 2]


def json_response(
    status: int, content: object, headers: dict[str, str] | None = None
) -> SandboxResponse:
    """Return a response with *content* encoded as JSON."""
    content_type = {"content-type": "application/json"}
    return SandboxResponse(status, msgspec.json.encode(content), content_type | (headers or {}))


def error_response(
    status: int, detail: object, headers: dict[str, str] | None = None
) -> SandboxResponse:
    """Return an error response with *detail*, in the API's form."""
    return json_response(status, {"detail": detail}, headers)
