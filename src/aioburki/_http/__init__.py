"""HTTP: bytes over sockets.

By default requests go through `OwnClient`, `PoolTransport` and `ConnectionPool`, in this order.
With the proxies of the environment they go through httpx's own pools (`environment_client`).
A `SendObserver` learns when a request is sent.
`read_body` reads the body of a response, and `RedactedHttpLog` keeps secrets out of the logs of
httpx and httpcore. Nothing here knows contacts.
"""

from __future__ import annotations

from .body import MAX_ERROR_BODY, BodyProblem, body_if_read, read_body
from .client import OwnClient
from .connection_pool import ConnectionPool
from .echo import ECHO, distrust_connection
from .environment import environment_client, proxy_variable
from .internals import PoolTransport, holds_connections, standard_transports
from .redacted_log import RedactedHttpLog, redact_http_logs
from .send_observer import SEND_OBSERVER, SendObserver

__all__ = [
    "ECHO",
    "MAX_ERROR_BODY",
    "SEND_OBSERVER",
    "BodyProblem",
    "ConnectionPool",
    "OwnClient",
    "PoolTransport",
    "RedactedHttpLog",
    "SendObserver",
    "body_if_read",
    "distrust_connection",
    "environment_client",
    "holds_connections",
    "proxy_variable",
    "read_body",
    "redact_http_logs",
    "standard_transports",
]
