"""HTTP: bytes over sockets.

By default requests go through `OwnClient`, `PoolTransport` and `ConnectionPool`, in this order.
`read_body` reads the body of a response, and `RedactedHttpLog` keeps secrets out of the logs of
httpx and httpcore. Nothing here knows contacts.
"""

from __future__ import annotations

from .body import MAX_ERROR_BODY, BodyProblem, body_if_read, read_body
from .client import OwnClient
from .connection_pool import ConnectionPool
from .internals import PoolTransport
from .redacted_log import RedactedHttpLog, redact_http_logs

__all__ = [
    "MAX_ERROR_BODY",
    "BodyProblem",
    "ConnectionPool",
    "OwnClient",
    "PoolTransport",
    "RedactedHttpLog",
    "body_if_read",
    "read_body",
    "redact_http_logs",
]
