"""Limiter: what shares one rate limit among several processes, as the throttle sees it."""

from __future__ import annotations

import math
from typing import Protocol

import attrs

from .._errors import ConfigurationError
from .._validation import shown


@attrs.frozen(kw_only=True)
class Grant:
    """A moment that is reserved for one request of one process.

    Attributes:
        wait: seconds until then, from when the limiter has answered; 0 if it is now.
        moment: the same in the limiter's own time; it identifies the reservation.
        is_paused: whether the wait is one of all processes, for a server's Retry-After.
        is_lowered: whether less than the limiter's own rate is allowed, because of 429s.
        rate: requests per second that all processes together may send now; infinity if the
            limiter does not say.
    """

    wait: float
    moment: float = 0.0
    is_paused: bool = False
    is_lowered: bool = False
    rate: float = math.inf


class Limiter(Protocol):
    """Reserve moments at which requests may be sent, for all processes that share a limit.

    Both methods raise `LimiterError`, with `transient` set if it may help to wait. A call that is
    cancelled costs at most the moment that it has reserved.
    """

    async def reserve(self, *, passed: int, earlier: Grant | None = None) -> Grant:
        """Reserve the next free moment, and return it.

        Args:
            passed: requests of this process that have passed since the last call.
            earlier: a grant whose moment has come after a long wait. It is returned again without
                a wait, or replaced by a later one if a pause has begun meanwhile.
        """
        ...

    async def record_refusal(self, *, passed: int, age: float | None, pause: float) -> None:
        """Record a 429.

        Args:
            passed: as for `reserve`.
            age: seconds since the refused request was sent; None if it says nothing of the rate.
            pause: seconds from now that all processes wait; 0 for none.
        """
        ...


def check_limiter(limiter: object) -> None:
    """Refuse an object that is no limiter.

    Raises:
        ConfigurationError: it is neither None nor an object with the methods of `Limiter`.
    """
    methods = (getattr(limiter, name, None) for name in ("reserve", "record_refusal"))
    if limiter is None or (not isinstance(limiter, type) and all(map(callable, methods))):
        return
    what = f"the class {limiter.__name__}" if isinstance(limiter, type) else shown(limiter)
    raise ConfigurationError(
        f"limiter must be a limiter such as aioburki.redis.RedisLimiter(…), not {what}"
    )
