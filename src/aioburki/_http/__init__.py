"""Http."""

from __future__ import annotations

from .body import MAX_ERROR_BODY, BodyProblem, body_if_read, read_body
from .connection_pool import ConnectionPool
from .redacted_log import RedactedHttpLog, redact_http_logs

__all__ = [
    "MAX_ERROR_BODY",
    "BodyProblem",
    "ConnectionPool",
    "RedactedHttpLog",
    "body_if_read",
    "read_body",
    "redact_http_logs",
]
