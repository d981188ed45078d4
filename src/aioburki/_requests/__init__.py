"""Requests: fetch one page, with as many attempts as the retry policy allows.

`fetcher` repeats attempts and sleeps between them, as `retry_policy` decides. `attempt` sends one
request and decodes its response, `sender` builds the request. `failures` maps a failed attempt,
such as a 429, to an error; `response_headers` reads its Retry-After and the quota headers,
`redaction` its detail. `route` says how the server is reached, `tls_failures` why it cannot be.
`stats` counts requests. `traffic` is what all requests of a client share, `capacity` what it allows
now. `waits` end together when the server is given up.
"""

from __future__ import annotations

from .attempt import AttemptRunner
from .capacity import Capacity
from .fetcher import Fetcher
from .route import Route
from .sender import Sender
from .stats import RequestStats
from .traffic import Traffic

__all__ = [
    "AttemptRunner",
    "Capacity",
    "Fetcher",
    "RequestStats",
    "Route",
    "Sender",
    "Traffic",
]
