"""One page, until it is there or given up.

`fetcher` gets a page through attempts and waits, `attempt` sends one request and reads its answer,
`failures` turns what went wrong into our errors, `redaction` makes the server's words safe to
show, `sender` builds the requests, `endpoint` describes a list of the API, `stats` counts.
"""

from __future__ import annotations

from .attempt import AttemptRunner
from .endpoint import Endpoint, ListQuery
from .fetcher import Fetcher
from .sender import Sender
from .stats import RequestStats

__all__ = [
    "AttemptRunner",
    "Endpoint",
    "Fetcher",
    "ListQuery",
    "RequestStats",
    "Sender",
]
