"""Import aioburki and construct a client in this new process; print the times as JSON.

The times are in milliseconds. With the argument ``plain`` the packages of the extras are hidden,
as if they were not installed. So are click, Pygments and rich, which the extras install: with them
httpx imports its own command line.
"""

import sys
import time

EXTRAS = ("cyclopts", "docstring_parser", "pyarrow", "rich_rst", "tqdm", "uvicorn")
USED_BY_HTTPX = ("click", "pygments", "rich")

if "plain" in sys.argv:
    # None in place of a module makes its import fail, which its type does not say.
    sys.modules.update(dict.fromkeys((*EXTRAS, *USED_BY_HTTPX)))  # type: ignore[arg-type] # see above

start = time.perf_counter()
import aioburki  # noqa: E402 - the import is measured

imported = time.perf_counter()

import asyncio  # noqa: E402 - after it, because aioburki's time includes it


async def construct() -> float:
    """Return the seconds that it takes to construct a client in a running event loop."""
    start = time.perf_counter()
    aioburki.BurkiClient("any")
    return time.perf_counter() - start


print(
    "{"
    f'"import": {(imported - start) * 1000}, "construct": {asyncio.run(construct()) * 1000}, '
    f'"extras": {sum(sys.modules.get(name) is not None for name in EXTRAS)}'
    "}"
)
