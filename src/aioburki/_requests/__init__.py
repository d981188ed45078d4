"""Requests: fetch one page, with as many attempts as the retry policy allows.

`fetcher` repeats attempts and sleeps between them, as `retry_policy` decides. `attempt` sends one
request and decodes its response, `sender` builds the request. `failures` maps a failed attempt,
such as a 429, to an error; `response_headers` reads its Retry-After and the quota headers,
`redaction` its detail. `stats` counts requests.
"""

from __future__ import annotations

from .attempt import AttemptRunner
from .fetcher import Fetcher
from .sender import Sender
from .stats import RequestStats

__all__ = [
    "AttemptRunner",
    "Fetcher",
    "RequestStats",
    "Sender",
]
