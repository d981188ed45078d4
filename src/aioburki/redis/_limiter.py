"""Limiter: one rate for all processes that use the same name on one server."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, NoReturn, Self, SupportsIndex

from redis._parsers import _AsyncRESP2Parser
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from .._errors import ConfigurationError, LimiterError
from .._loop_binding import close_at_end_of_loop
from .._throttle import Grant
from .._validation import requests_per_second, shown, whole_number
from ._address import SecretText, address_of
from ._failures import limiter_error
from ._scripts import REFUSE, RESERVE

logger = logging.getLogger("aioburki")

# Seconds to connect, and for the answer to a script. Judgement: a server in another region answers
# in a tenth of it, and an event loop that is blocked for a second is no failure.
TIMEOUT = 3.0
MAX_NAME_LENGTH = 200


class RedisLimiter:
    """Share one rate limit among all processes that use the same *name* on one server.

    Each request of a `BurkiClient(limiter=…)` takes one round trip to the server, which reserves
    the next free moment; the processes take turns. A process that is killed leaves one moment
    unused. When one process gets a Retry-After, all wait. 429s lower the rate for
    all; it recovers as requests pass, up to *rate*.

    Making a limiter does no I/O and needs no event loop. Close it with `aclose` or ``async with``;
    clients do not close it, and several of one process may share it. It may be used in one event
    loop after the other, not in two at once. It cannot be pickled: it holds the password.

    All that is kept has the name ``aioburki:{NAME}`` on the server, and expires after ten minutes
    without a request. If the server is restarted with an empty memory, *burst* more requests are
    sent at most by each process.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user and password if needed; by
            default the variable ``BURKI_REDIS_URL``. Options: ``db``, and with ``rediss://``
            ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``, which are paths.
        name: of the limit; 1 … 200 characters without braces. One for each API key.
        rate: requests per second of all processes together, above 0. If processes disagree, the
            lowest rate that was asked for within the last minute holds, and those with a higher
            one log a warning, once.
        burst: requests that may be sent at once after a time without any, from 1.

    Raises:
        ConfigurationError: an argument or the variable cannot be used. The URL is not shown.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        name: str,
        rate: float,
        burst: SupportsIndex = 1,
    ) -> None:
        secret = None if url is None else SecretText(url)
        del url  # before anything can raise: tracebacks may show local variables
        self._name = _usable_name(name)
        self._rate = _usable_rate(rate)
        self._burst = whole_number("burst", burst, low=1, high=1_000_000)
        self._address = address_of(secret)
        self._redis: Redis | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guard: AsyncGenerator[None, None] | None = None
        self._was_reached = False
        self._is_warned = False
        self._is_closed = False

    async def reserve(self, *, passed: int, earlier: Grant | None = None) -> Grant:
        """Reserve the next free moment for a request; called by the client.

        Raises:
            LimiterError: the server cannot be reached, or the limiter is closed.
        """
        moment = 0.0 if earlier is None else earlier.moment
        answer = await self._run(RESERVE, passed, self._burst, f"{moment:.0f}")
        at, wait, rate, is_paused, is_lowered, allowed = (float(value) for value in answer)
        self._check_rate(rate)
        return Grant(
            wait=wait / 1e6,
            moment=at,
            is_paused=bool(is_paused),
            is_lowered=bool(is_lowered),
            rate=allowed,
        )

    async def record_refusal(self, *, passed: int, age: float | None, pause: float) -> None:
        """Record a 429 for all processes; called by the client.

        Raises:
            LimiterError: the server cannot be reached, or the limiter is closed.
        """
        sent = -1 if age is None else round(age * 1e6)
        await self._run(REFUSE, passed, sent, round(pause * 1e6))

    async def aclose(self) -> None:
        """Close the connections; a second call does nothing."""
        self._is_closed = True
        if self._guard is not None and self._loop is asyncio.get_running_loop():
            await self._guard.aclose()  # which disconnects

    async def _disconnect(self) -> None:
        """Close the connections; called in their event loop, at its end or at that of this."""
        redis, self._redis, self._loop, self._guard = self._redis, None, None, None
        assert redis is not None
        await redis.aclose()
        pool: Any = redis.connection_pool  # whose types differ from version to version
        await pool.disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a RedisLimiter cannot be pickled or copied: it holds a password and open connections; "
            "make one with the same name in each process"
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_address"):
            return "RedisLimiter(refused)"  # in the traceback of a ConfigurationError
        return (
            f"RedisLimiter({self._address.place!r}, name={self._name!r}, rate={self._rate:g}, "
            f"burst={self._burst}{', closed' if self._is_closed else ''})"
        )

    @property
    def _place(self) -> str:
        return f"the limiter {self._name!r} at {self._address.place}"

    async def _run(self, script: str, *arguments: object) -> Any:
        """Run *script* on the server, and return its answer."""
        redis = self._connected()
        values = [repr(self._rate), *map(str, arguments)]
        key = f"aioburki:{{{self._name}}}"
        try:
            answer = await _evaluate(redis, script, key, values)
        except (RedisError, OSError) as failed:
            error = limiter_error(failed, self._place, was_reached=self._was_reached)
        else:
            self._was_reached = True
            return answer
        raise error

    def _connected(self) -> Redis:
        """Return the client for the running loop; it connects when it is used."""
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise _misuse(f"{self._place} is closed: close it after the clients that use it")
        if self._redis is not None and self._loop is loop:
            return self._redis
        if self._loop is not None and not self._loop.is_closed():
            raise _misuse(f"{self._place} is used in another event loop: make one for each loop")
        if problem := self._address.problem_of_files():
            raise _misuse(f"{self._place} cannot be reached: {problem}")
        pool = ConnectionPool(
            connection_class=self._address.connection,
            protocol=2,
            # Not hiredis: its parser in redis 5.3.1 let the cancellation by its own timeout out, so
            # that a pull ended as if it had been cancelled (`tests/test_dask_cluster.py`).
            parser_class=_AsyncRESP2Parser,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # the client of the API waits and says so
            **self._address.arguments,
        )
        self._redis, self._loop = Redis(connection_pool=pool), loop
        self._guard = close_at_end_of_loop(weakref.WeakMethod(self._disconnect))
        return self._redis

    def _check_rate(self, rate: float) -> None:
        """Warn once if another process asks for a lower rate."""
        if rate < self._rate and not self._is_warned:
            self._is_warned = True
            logger.warning(
                "%s: another process asks for %g requests per second, this one for %g; "
                "the lower rate holds", self._place, rate, self._rate,
            )  # fmt: skip


async def _evaluate(redis: Redis, script: str, key: str, values: list[str]) -> Any:
    """Run *script*, by its digest if the server has it already."""
    server: Any = redis  # as above
    digest = server.register_script(script).sha
    try:
        return await server.evalsha(digest, 1, key, *values)
    except NoScriptError:
        return await server.eval(script, 1, key, *values)


def _misuse(message: str) -> LimiterError:
    """Return the error of a limiter that is used wrongly: no server is to be looked for."""
    error = LimiterError(message)
    error.advice = ""
    return error


def _usable_rate(rate: float) -> float:
    usable = requests_per_second("rate", rate, is_optional=False)
    assert usable is not None
    return usable


def _usable_name(name: str) -> str:
    if not isinstance(name, str):
        raise ConfigurationError(f"name must be text, not {shown(name)}")
    if not (0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and not set(name) & set("{}")):
        raise ConfigurationError(
            f"name must have 1 to {MAX_NAME_LENGTH} printable characters and no braces"
        )
    return name
