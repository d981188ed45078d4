"""Sandbox command: serve the sandbox over HTTP on loopback."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from .._errors import ConfigurationError
from ..sandbox import Sandbox, parse_drift, serve
from ._printing import print_error, print_if_possible
from ._whole_number import WHOLE


async def serve_sandbox(
    *,
    contacts: Annotated[int, WHOLE] = 10_000,
    port: Annotated[int, WHOLE] = 8042,
    seed: Annotated[int, WHOLE] = 0,
    latency: float = 0.0,
    rate: float | None = None,
    faults: float = 0.0,
    order: Annotated[
        Literal["id", "-id", "touched", "ties"], Parameter(allow_leading_hyphen=True)
    ] = "id",
    id_gaps: Annotated[bool, Parameter(negative=())] = False,
    drift: str | None = None,
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
    order
        What the list is sorted by: id, the oldest first; -id, the newest first; touched, the one
        that changed last first; ties, by a time that many contacts share.
    id_gaps
        Leave out numbers between the ids.
    drift
        How the list moves with each request, such as leave=4,delete=0.5: leave (contacts near the
        front leave the status filter), delete, import, append, touch, in_out; how many of each.
    """
    if not 0 <= port <= 65_535:
        raise ConfigurationError(f"port must be a whole number from 0 to 65,535, not {port}")
    box = Sandbox(
        contacts,
        seed=seed,
        latency=latency,
        rate=rate,
        faults=faults,
        order=order,
        id_gaps=id_gaps,
        drift=None if drift is None else parse_drift(drift),
    )
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
    print_if_possible(
        f"Campaign 42 is served on {url}; press Ctrl-C to stop. In another terminal:\n"
        f"  BURKI_BASE_URL={url} BURKI_API_KEY=any aioburki contacts 42",
        sys.stdout,
    )
