"""Extras: import optional packages, and say what to install if they are missing."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module

_INSTALL = {
    "pyarrow": "tables need pyarrow: pip install 'aioburki[arrow]'",
    "redis": "RedisLimiter needs redis: pip install 'aioburki[redis]'",
    "tqdm": "progress=True needs tqdm: pip install 'aioburki[cli]'",
    "opentelemetry": "aioburki.telemetry needs its API: pip install 'aioburki[otel]'",
    "pandas": "to_pandas() needs pandas: pip install pandas",
    "polars": "to_polars() needs polars: pip install polars",
}


def named(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return *error*, saying what to install if it is an optional package that is missing."""
    message = _INSTALL.get((error.name or "").partition(".")[0])
    return error if message is None else ModuleNotFoundError(message, name=error.name)


def require(*packages: str, extra: str | None = None) -> None:
    """Import *packages*.

    Args:
        packages: their names.
        extra: the extra and module that needs all of them; by default a missing package is named
            by what it is most used for.

    Raises:
        ModuleNotFoundError: one is not installed.
    """
    try:
        for package in packages:
            import_module(package)
    except ModuleNotFoundError as error:
        if extra is not None:
            text = f"aioburki.{extra} needs {error.name}: pip install 'aioburki[{extra}]'"
            raise ModuleNotFoundError(text, name=error.name) from None
        raise named(error) from None


async def require_in_thread(*packages: str) -> None:
    """Import *packages* in a thread: the first import of pandas takes half a second.

    Raises:
        ModuleNotFoundError: one is not installed.
    """
    if any(sys.modules.get(package) is None for package in packages):
        await asyncio.to_thread(require, *packages)
