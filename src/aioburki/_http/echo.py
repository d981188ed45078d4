"""Echo: what a response repeats of its request, so that a surplus response can be recognized.

A server that sends one response too many shifts all that follow on its connection. HTTP/1.1 does
not say which request a response belongs to.
"""

from __future__ import annotations

import httpcore
import httpx

# Extension of a request: what its response repeats. The responses to different targets with the
# same echo cannot be told apart.
ECHO = "aioburki.echo"

# Extension of a response: a function that closes its connection.
DISTRUST = "aioburki.distrust"

# Seconds for which a surplus response may be on its way.
SURPLUS_SECONDS = 0.05


def may_confuse(last: httpcore.Request | None, request: httpcore.Request, idle: float) -> bool:
    """Return whether a second response to *last* could be taken for that to *request*.

    Args:
        last: the last request on a connection; None for no request.
        request: the one that would be sent over it now.
        idle: seconds since the response to *last*. After `SURPLUS_SECONDS` a second one would have
            come, and the connection would not be usable.
    """
    if last is None or idle >= SURPLUS_SECONDS or last.url.target == request.url.target:
        return False
    echo = last.extensions.get(ECHO)
    return echo is not None and echo == request.extensions.get(ECHO)


def distrust_connection(response: httpx.Response) -> None:
    """Close the connection of *response*, which was that to another request.

    Does nothing if the response is not from a `ConnectionPool`.
    """
    if (distrust := response.extensions.get(DISTRUST)) is not None:
        distrust()
