"""Network: the httpx client that sends the requests, the user's own or one of this package."""

from __future__ import annotations

import httpx

from ._errors import ConfigurationError
from ._http import ConnectionPool, OwnClient, PoolTransport, environment_client
from ._requests import Route, Sender
from ._settings import Settings


def sender_of(
    settings: Settings,
    http_client: httpx.AsyncClient | None,
    transport: httpx.AsyncBaseTransport | None,
) -> Sender:
    """Return the sender over the user's client or transport, over httpx's pools, or over ours."""
    url = httpx.URL(settings.base_url)
    if http_client is not None:
        return Sender(settings, http_client, Route(url), merges_defaults=True)
    if transport is not None:
        return Sender(settings, OwnClient(transport), Route(url))
    route = Route(url, is_own=True, trusts_env=settings.trust_env)
    if settings.trust_env:
        return Sender(settings, environment_client(settings.verify, settings.concurrency), route)
    http = OwnClient(PoolTransport(ConnectionPool(settings.verify)))
    return Sender(settings, http, route, survives_cancellation=True)


def check_network(settings: Settings, http_client: object, transport: object) -> None:
    """Refuse settings of the network beside a client or a transport that has its own.

    Raises:
        ConfigurationError: `verify` or `trust_env` is set.
    """
    if http_client is None and transport is None:
        return
    given = "transport" if http_client is None else "http_client"
    if settings.verify is not None:
        raise ConfigurationError(f"give verify to your {given}, not to BurkiClient beside it")
    if settings.trust_env:
        raise ConfigurationError(f"give trust_env to your {given}, not to BurkiClient beside it")


def _foreign(part: object) -> str:
    """Return the name of a refused part's type, and where to take it from if it is httpx2's."""
    name = type(part).__name__
    if all(kind.__module__.partition(".")[0] != "httpx2" for kind in type(part).__mro__):
        return name
    return (
        f"{name}, which is httpx2's: take it from the package httpx, or call httpx2.alias_httpx() "
        "before anything imports httpx"
    )


def check_parts(http_client: object, transport: object) -> None:
    """Refuse a client and a transport that cannot be used.

    Raises:
        ConfigurationError: one of them has another type, or both are given.
    """
    if http_client is not None and transport is not None:
        raise ConfigurationError("give http_client or transport, not both")
    if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
        raise ConfigurationError(
            f"http_client must be an httpx.AsyncClient, not {_foreign(http_client)}"
        )
    if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
        raise ConfigurationError(
            "transport must be an httpx.AsyncBaseTransport (of a Sandbox: sandbox.transport), "
            f"not {_foreign(transport)}"
        )
