"""Clients: one for each task, made where the task runs, from what may be in a graph."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, SupportsIndex, TypedDict

import attrs

from .._client import BurkiClient
from .._errors import ConfigurationError
from .._range import ContactRange

_REFUSED = {
    "api_key": "each worker reads the key from its own BURKI_API_KEY, so that no graph holds it",
    "http_client": "it cannot be sent to the workers",
    "transport": "it cannot be sent to the workers",
    "on_event": "it cannot be sent to the workers",
    "verify": "it cannot be sent to the workers: set SSL_CERT_FILE there, with trust_env=True",
    "limiter": "it cannot be sent to the workers: use shared_rate=",
}


class ClientOptions(TypedDict, total=False):
    """The arguments of `BurkiClient` that `read_contacts` passes on."""

    base_url: str | None
    concurrency: SupportsIndex
    rate: float | None
    attempts: SupportsIndex
    timeout: float
    max_wait: float
    max_body: SupportsIndex
    pause_gc: bool
    trust_env: bool
    user_agent_suffix: str | None


def check_options(options: dict[str, Any]) -> None:
    """Raise `ConfigurationError` for an option that must not be in a graph; forget it before."""
    for name, reason in _REFUSED.items():
        if name in options:
            options.clear()  # error reporters show local variables
            raise ConfigurationError(f"read_contacts() takes no {name}=: {reason}")


@attrs.frozen
class Clients:
    """Makes clients, in this process and on the workers.

    Attributes:
        options: arguments of `BurkiClient`; without secrets.
        shared_rate: requests per second over all clients, or None.
    """

    options: Mapping[str, Any]
    shared_rate: float | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[BurkiClient, None]:
        """Open a client, whose key and addresses come from the environment of this process."""
        async with AsyncExitStack() as stack:
            options = dict(self.options)
            if self.shared_rate is not None:
                from ..redis import RedisLimiter  # noqa: PLC0415 - redis is optional

                limiter = RedisLimiter(
                    name=server_of(BurkiClient(**options)), rate=self.shared_rate
                )
                options["limiter"] = limiter
                stack.push_async_callback(limiter.aclose)
            yield await stack.enter_async_context(BurkiClient(**options))


def server_of(burki: BurkiClient) -> str:
    """Return the base URL that a client reads from."""
    return burki.contacts(1).range.server


def sent(part: ContactRange) -> ContactRange:
    """Return *part* as it is in a graph: with a digest instead of the server's URL."""
    return attrs.evolve(part, server=_digest(part.server))


def received(part: ContactRange, burki: BurkiClient) -> ContactRange:
    """Return the range that *part* was made of by `sent`.

    Raises:
        ConfigurationError: *burki* reads from another server.
    """
    server = server_of(burki)
    if part.server != _digest(server):
        raise ConfigurationError(
            f"this worker reads from {server}, but the campaigns were divided on another server: "
            "set BURKI_BASE_URL to the same on all machines, or pass base_url="
        )
    return attrs.evolve(part, server=server)


def _digest(server: str) -> str:
    return hashlib.sha256(server.encode()).hexdigest()
