"""Command line: ``aioburki contacts`` pulls contacts, ``aioburki sandbox`` serves the sandbox.

The API key is read from BURKI_API_KEY only: other users of the machine can see the arguments of a
process. Exit codes: 0 done, 1 the pull failed, 2 wrong usage, 3 pulled and written but not proved
complete (with ``--require-complete``), 130 interrupted, 143 terminated while a file was written.
"""

from __future__ import annotations

from ._app import app, run

__all__ = ["app", "run"]
