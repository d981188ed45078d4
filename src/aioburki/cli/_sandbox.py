"""Sandbox command: serve the sandbox over HTTP on loopback."""

from __future__ import annotations

import asyncio

from .._errors import ConfigurationError
from ..sandbox import Sandbox, serve
from ._printing import print_error


async def serve_sandbox(
    *,
    contacts: int = 10_000,
    port: int = 8042,
    seed: int = 0,
    latency: float = 0.0,
    rate: float | None = None,
    faults: float = 0.0,
) -> int:
    """Serve the sandbox over HTTP on 127.0.0.1, until interrupted.

    Parameters
    ----------
    contacts
        Number of contacts in campaign 42.
    port
        TCP port, 0 to 65535; 0 for any that is free.
    seed
        The same seed gives the same contacts and faults.
    latency
        Seconds before each response.
    rate
        Requests per second; requests above it get a 429.
    faults
        Share of requests that fail, 0 to 1.
    """
    if not 0 <= port <= 65_535:
        raise ConfigurationError(f"port must be a whole number from 0 to 65,535, not {port}")
    box = Sandbox(contacts, seed=seed, latency=latency, rate=rate, faults=faults)
    try:
        await serve(box, port, _announce)
        # uvicorn raises the signal again when it has stopped; the cancellation arrives here.
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        pass  # Ctrl-C is the normal way to stop a server
    except ModuleNotFoundError:
        return print_error(
            "serving the sandbox needs more packages: pip install 'aioburki[sandbox]'", 2
        )
    except OSError as error:
        return print_error(f"port {port} cannot be used: {error.strerror}", 1)
    return 0


def _announce(url: str) -> None:
    print(f"Campaign 42 is served on {url}; press Ctrl-C to stop. In another terminal:", flush=True)
    print(f"  BURKI_BASE_URL={url} BURKI_API_KEY=any aioburki contacts 42", flush=True)
