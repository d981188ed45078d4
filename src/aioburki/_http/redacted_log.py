"""RedactedHttpLog: remove from the log records of httpx and httpcore what may hold a secret.

At INFO their records show the reason phrase, at DEBUG headers and invalid HTTP. A server may echo
the API key or phone numbers there. Only records that are made during an attempt of this package
are changed; those of the application's own requests are not.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar, Token

# A logger's filter is not applied to records of its child loggers, so each one is named.
LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    # httpx2 is a fork of httpx, which `httpx2.alias_httpx()` puts in its place.
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
    "hpack.hpack",
    "hpack.table",
)

_STEP = re.compile(r"[a-z0-9_]+\.(?:started|complete|failed)(?= |$)")
_WITHHELD = "withheld: it may contain what the server echoes"


class RedactedHttpLog:
    """Context manager around one attempt; until it ends, records made by this task are redacted.

    The same holds for tasks started inside, which copy its context. They may outlive the attempt,
    so the flag `is_running` decides, not the context alone.
    """

    __slots__ = ("_token", "is_running")

    def __enter__(self) -> None:
        self.is_running = True
        self._token: Token[RedactedHttpLog | None] = _attempt.set(self)

    def __exit__(self, *_: object) -> None:
        _attempt.reset(self._token)
        self.is_running = False


_attempt: ContextVar[RedactedHttpLog | None] = ContextVar("aioburki attempt", default=None)


class _Redaction(logging.Filter):
    """Redact the records that are made during an attempt."""

    def filter(self, record: logging.LogRecord) -> bool:
        attempt = _attempt.get()
        if attempt is not None and attempt.is_running:
            record.msg, record.args = _redacted(record), ()
            record.exc_info = record.exc_text = None
        return True


_REDACTION = _Redaction()


def redact_http_logs() -> None:
    """Add the filter to the loggers of httpx, httpcore and hpack; adding it again does nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_REDACTION)


def _redacted(record: logging.LogRecord) -> str:
    """Return method, URL without query and status, or the name of the step, or neither."""
    match record.args:
        case (str(method), url, _, int(status), _) if record.name in ("httpx", "httpx2"):
            return f"HTTP Request: {method} {str(url).partition('?')[0]} {status}"
        case _:
            step = _STEP.match(str(record.msg))
            return step[0] if step else _WITHHELD
