"""Faults: what can be done to a response, and to what share of them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import attrs

from .._errors import ConfigurationError
from .._validation import shown
from ._response import SandboxResponse, error_response

FAULTS = (
    "connect", "disconnect", "reset", "half_body", "empty", "broken_json", "broken_gzip", "html",
    "408", "429", "500", "502", "503", "504",
)  # fmt: skip
"""Transient faults, which a client should survive by retrying.

- ``connect``: the connection cannot be opened (over HTTP: it is closed without a response).
- ``disconnect``, ``reset``: the connection is closed, or reset, before the response.
- ``half_body``: the connection is closed after half of the body.
- ``empty``: a 200 with no body.
- ``broken_json``: a 200 with the first two thirds of the JSON.
- ``broken_gzip``: a 200 with the first two thirds of a gzip body.
- ``html``: a 502 with a proxy's HTML page.
- a number: a response with that status; 429 has a ``Retry-After`` of one second.
"""

FAULTS_BY_NAME = ("timeout", "stall", "redirect", "nested", "401", "403", "404")
"""Faults that ``Sandbox(faults=…)`` applies only if they are named.

- ``timeout``: no response while the client waits.
- ``stall``: half of the body, then nothing while the client waits.
- ``redirect``, ``nested``, ``401``, ``403``, ``404``: responses that no retry helps against: a
  redirect, JSON nested 1,000 levels deep, a response with that status.
"""

# The sum of shares such as 0.1 and 0.2 and 0.7 may exceed 1 by a rounding error.
ROUNDING = 1e-9

_HTML = {"content-type": "text/html"}


def fault_shares(faults: float | Mapping[str, float] | None) -> dict[str, float]:
    """Return the share of requests for each fault that *faults* asks for.

    Raises:
        ConfigurationError: a name is not a fault, or the shares are not from 0 to 1 in total.
    """
    if faults is None:
        return {}
    if not isinstance(faults, Mapping):
        share = _share(faults)
        return {name: share / len(FAULTS) for name in FAULTS} if share else {}
    known = FAULTS + FAULTS_BY_NAME
    unknown = [name for name in faults if name not in known]
    if unknown:
        raise ConfigurationError(f"faults may name {', '.join(known)}, not {unknown[0]!r}")
    shares = {name: _share(share) for name, share in faults.items()}
    _share(sum(shares.values()))
    return shares


def apply_fault(  # noqa: PLR0911 - one return for each fault
    name: str, response: SandboxResponse
) -> SandboxResponse:
    """Return *response* as the fault *name* changes it."""
    match name:
        case "empty":
            return attrs.evolve(response, body=b"")
        case "broken_json":
            return attrs.evolve(response, body=response.body[: len(response.body) * 2 // 3])
        case "broken_gzip":
            packed = gzip.compress(response.body, 1, mtime=0)
            headers = {**response.headers, "content-encoding": "gzip"}
            return attrs.evolve(response, body=packed[: len(packed) * 2 // 3], headers=headers)
        case "html":
            return SandboxResponse(502, b"<html><h1>502 Bad Gateway</h1></html>", _HTML)
        case "redirect":
            return SandboxResponse(307, b"", {"location": "https://elsewhere.invalid/"})
        case "nested":
            return attrs.evolve(response, body=b'{"contacts":' + b"[" * 1000 + b"]" * 1000 + b"}")
        case "429":
            return error_response(429, "Rate limit exceeded", {"retry-after": "1"})
        case _ if name.isdigit():
            return error_response(int(name), "The sandbox was asked to fail here")
        case _:
            return attrs.evolve(response, fault=name)


def _share(value: float) -> float:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= 1 + ROUNDING
    ):
        return float(value)
    raise ConfigurationError(f"faults must be shares from 0 to 1 in all, not {shown(value)}")
