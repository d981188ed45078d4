"""Wire log: what httpx and its parts log of our exchanges, cut to what can hold no secret.

At INFO they show the reason phrase, at DEBUG headers and what a server sends that is no HTTP,
and so the key and the phone numbers that it may echo there. What they log outside of our
exchanges is left alone: it is somebody else's.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar, Token

# A filter sees what its own logger makes, not what the loggers below it make.
LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    "hpack.hpack",
    "hpack.table",
)

_STEP = re.compile(r"[a-z0-9_]+\.(?:started|complete|failed)(?= |$)")
_WITHHELD = "withheld: it may hold what the server echoes"


class RedactedHttpLog:
    """Span one exchange; until the block ends, the wire log is cut for this task.

    So it is for tasks that are started within, which copy its context and may outlive it.
    """

    __slots__ = ("_token", "is_running")

    def __enter__(self) -> None:
        self.is_running = True
        self._token: Token[RedactedHttpLog | None] = _exchange.set(self)

    def __exit__(self, *_: object) -> None:
        _exchange.reset(self._token)
        self.is_running = False


_exchange: ContextVar[RedactedHttpLog | None] = ContextVar("aioburki exchange", default=None)


class _Cut(logging.Filter):
    """Cut the records that are made during an exchange."""

    def filter(self, record: logging.LogRecord) -> bool:
        exchange = _exchange.get()
        if exchange is not None and exchange.is_running:
            record.msg, record.args = _harmless(record), ()
            record.exc_info = record.exc_text = None
        return True


_CUT = _Cut()


def redact_http_logs() -> None:
    """Make the loggers of httpx and its parts cut what they log of exchanges; once is enough."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_CUT)


def _harmless(record: logging.LogRecord) -> str:
    """Return method, URL without query and status, or the step of the exchange, or neither."""
    match record.args:
        case (str(method), url, _, int(status), _) if record.name == "httpx":
            return f"HTTP Request: {method} {str(url).partition('?')[0]} {status}"
        case _:
            step = _STEP.match(str(record.msg))
            return step[0] if step else _WITHHELD
