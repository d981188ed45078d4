"""Send observer: learns when a request waits for a connection, and when it is sent."""

from __future__ import annotations

from typing import Protocol

import httpcore

# The key of the observer in `extensions` of a request. Transports that do not know it ignore it.
SEND_OBSERVER = "aioburki.send_observer"


class SendObserver(Protocol):
    """What the connection pool tells of one request.

    A request counts as sent until the pool says otherwise, since other transports say nothing.
    """

    def record_wait(self) -> None:
        """Record that it is not sent yet: it waits for a connection, or for one to be opened."""
        ...

    def record_sent(self) -> None:
        """Record that it waits no more, and is sent now."""
        ...


class _NoObserver:
    def record_wait(self) -> None:
        pass

    def record_sent(self) -> None:
        pass


NO_OBSERVER = _NoObserver()


def observer_of(request: httpcore.Request) -> SendObserver:
    """Return the observer of *request*, or one that does nothing."""
    observer: SendObserver | None = request.extensions.get(SEND_OBSERVER)
    return observer or NO_OBSERVER
