"""Dask: the contacts of campaigns as a Dask data frame, pulled by the workers.

`read_contacts` divides the campaigns into ranges, each of which is one partition. A task pulls its
range in an event loop and with a client of its own, both of which end with the task. Needs ``pip
install 'aioburki[dask]'``.
"""

from __future__ import annotations

from .._extras import require

require("dask", "pandas", "pyarrow", extra="dask")  # says what to install if one is missing

from ._read import read_contacts  # noqa: E402 - needs the packages

__all__ = ["read_contacts"]
