"""Faults: what the sandbox can do to an answer, and how often."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import attrs

from .._errors import ConfigurationError
from .._validation import shown
from ._response import Answer, refusal

FAULTS = (
    "connect", "disconnect", "reset", "half_body", "empty", "broken_json", "broken_gzip", "html",
    "408", "429", "500", "502", "503", "504",
)  # fmt: skip
"""What `Sandbox(faults=…)` can do to a request and a client should get over: fail to connect;
close the connection before the answer or half-way through it, or reset it; send nothing, half
the JSON, or a compressed body that is damaged; show a proxy's HTML page with a 502; or answer
with that status, 429 with a Retry-After of one second."""

FAULTS_BY_NAME = ("timeout", "stall", "redirect", "nested", "401", "403", "404")
"""What it does besides if asked for by name: never answer, or stop half-way through, as long as
the client waits; or what no retry helps against: a redirect, JSON nested 1,000 deep, a status."""

ROUNDING = 1e-9


def fault_shares(faults: float | Mapping[str, float] | None) -> dict[str, float]:
    """Return the share of requests that each fault hits.

    Raises:
        ConfigurationError: there is no such fault, or the shares are not 0 … 1 in all.
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


def faulty(name: str, answer: Answer) -> Answer:  # noqa: PLR0911 - each fault is a way out
    """Return what becomes of *answer* through the fault *name*."""
    match name:
        case "empty":
            return attrs.evolve(answer, body=b"")
        case "broken_json":
            return attrs.evolve(answer, body=answer.body[: len(answer.body) * 2 // 3])
        case "broken_gzip":
            packed = gzip.compress(answer.body, 1, mtime=0)
            headers = {**answer.headers, "content-encoding": "gzip"}
            return attrs.evolve(answer, body=packed[: len(packed) * 2 // 3], headers=headers)
        case "html":
            return Answer(502, b"<html><h1>502 Bad Gateway</h1></html>", _HTML)
        case "redirect":
            return Answer(307, b"", {"location": "https://elsewhere.invalid/"})
        case "nested":
            return attrs.evolve(answer, body=b'{"contacts":' + b"[" * 1000 + b"]" * 1000 + b"}")
        case "429":
            return refusal(429, "Rate limit exceeded", {"retry-after": "1"})
        case _ if name.isdigit():
            return refusal(int(name), "The sandbox was asked to fail here")
        case _:
            return attrs.evolve(answer, fault=name)


def _share(value: float) -> float:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= 1 + ROUNDING
    ):
        return float(value)
    raise ConfigurationError(f"faults must be shares from 0 to 1 in all, not {shown(value)}")


_HTML = {"content-type": "text/html"}
