"""The Burki API in process, or over HTTP on loopback, for demos and for tests. It needs no key.

It answers as the API documents, with 400, 401, 404 and 422 too, and can be slow, rate-limited and
faulty; its list can have several orders, and can move during a pull. The same seed gives the same
contacts, faults and moves::

    sandbox = Sandbox(contacts=2_500, faults=0.1)
    async with BurkiClient("any", transport=sandbox.transport) as burki:
        contacts = await burki.contacts(42)
"""

from __future__ import annotations

from collections.abc import Callable

from ._drift import DRIFTS, parse_drift
from ._faults import FAULTS, FAULTS_BY_NAME
from ._server import Sandbox

__all__ = ["DRIFTS", "FAULTS", "FAULTS_BY_NAME", "Sandbox", "parse_drift", "serve"]


async def serve(sandbox: Sandbox, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve *sandbox* over HTTP on 127.0.0.1 until interrupted or cancelled.

    Args:
        sandbox: what answers the requests.
        port: TCP port; 0 for any that is free.
        on_ready: called once with the URL, when connections are accepted.

    Raises:
        ModuleNotFoundError: uvicorn is not installed (``pip install 'aioburki[sandbox]'``).
        OSError: the port is in use.
    """
    from ._http_server import serve_http  # noqa: PLC0415 - uvicorn is an optional dependency

    await serve_http(sandbox, port, on_ready)
