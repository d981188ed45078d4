"""Internals: every private attribute of httpx and httpcore that this package uses.

No other module sets or reads one. `tests/test_internals.py` has a test for each, which fails when
a release renames the attribute or stops using it.
"""

from __future__ import annotations

from contextlib import nullcontext
from types import TracebackType
from typing import Protocol, Self

import httpcore
import httpx


class Pool(Protocol):
    """The methods that `httpx.AsyncHTTPTransport` calls on its pool."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class PoolTransport(httpx.AsyncHTTPTransport):
    """`httpx.AsyncHTTPTransport` over another connection pool than httpcore's.

    `handle_async_request` is inherited and must not be overridden: tools such as pytest-httpx,
    vcrpy and OpenTelemetry's instrumentation patch it on the class, and it translates the errors
    of httpcore into those of httpx. Closing the transport closes the pool.

    httpcore's own pool loses a connection for good when a request is cancelled in it
    (https://github.com/encode/httpcore/issues/1093), and the time it takes grows with the square
    of the number of its connections (https://github.com/encode/httpx/issues/3215). httpx has no
    public way to put another pool behind this class.

    Args:
        pool: sends the requests.
    """

    def __init__(self, pool: Pool) -> None:
        # `super().__init__` would read the certificates, which takes 20 ms, and build the pool
        # that is replaced here. httpx types the attribute as httpcore's classes of pools.
        self._pool = pool  # type: ignore[assignment] # see above


def set_inner_connection(
    connection: httpcore.AsyncHTTPConnection, inner: httpcore.AsyncConnectionInterface
) -> None:
    """Make *connection* pass its requests on to *inner* instead of opening one of its own.

    respx by default patches `httpcore.AsyncHTTPConnection.handle_async_request`, so requests must
    pass through it. The connection that it would open has no way to be reclaimed if the request is
    cancelled meanwhile (https://github.com/encode/httpcore/issues/961).
    """
    connection._connection = inner  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    # Only one request at a time uses the connection. Taking httpcore's lock, although it is free,
    # suspends the task for one iteration of the event loop. httpcore types it as its own class.
    connection._request_lock = nullcontext()  # type: ignore[assignment] # noqa: SLF001 # see above


def standard_transports(client: httpx.AsyncClient) -> list[httpx.AsyncHTTPTransport]:
    """Return the transports of *client* that are httpx's own, or `PoolTransport`."""
    mounts = client._mounts.values()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    transports = {id(each): each for each in (client._transport, *mounts)}  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return [each for each in transports.values() if isinstance(each, httpx.AsyncHTTPTransport)]


def holds_connections(client: httpx.AsyncClient) -> bool:
    """Return whether a pool of httpcore that *client* uses has connections, idle or not.

    Such a connection belongs to the event loop on which it was opened. A request over it on another
    loop waits for a response that nobody reads.
    """
    pools = [each._pool for each in standard_transports(client)]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    own = [pool for pool in pools if isinstance(pool, httpcore.AsyncConnectionPool)]
    return any(pool.connections for pool in own)
