"""One rate limit for many processes, kept in a Redis or Valkey server.

Every process makes a limiter with the same *name* and gives it to its client::

    async with RedisLimiter(name="burki", rate=50) as limiter:  # $BURKI_REDIS_URL
        async with BurkiClient(limiter=limiter) as burki:
            contacts = await burki.contacts(42)

Needs ``pip install 'aioburki[redis]'``, and Redis from version 5, or Valkey.
"""

from __future__ import annotations

from .._extras import require

require("redis")  # which says what to install if it is missing

from ._limiter import RedisLimiter  # noqa: E402 - needs the package

__all__ = ["RedisLimiter"]
