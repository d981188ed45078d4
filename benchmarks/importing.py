"""Import aioburki and make a client, in this fresh process, and print what that took as JSON.

With the argument ``plain`` it is as if the extras were not installed. httpx imports its own
command line if click, Pygments and rich are there, which come with them.
"""

import sys
import time

EXTRAS = ("cyclopts", "docstring_parser", "rich_rst", "tqdm", "uvicorn")
OF_HTTPX = ("click", "pygments", "rich")

if "plain" in sys.argv:
    sys.modules.update(dict.fromkeys((*EXTRAS, *OF_HTTPX)))  # type: ignore[arg-type]

start = time.perf_counter()
import aioburki  # noqa: E402 - this is what is measured

imported = time.perf_counter()

import asyncio  # noqa: E402 - not before, because it counts as aioburki's


async def construct() -> float:
    """Return the seconds it takes to make a client where users do, in a running event loop."""
    start = time.perf_counter()
    aioburki.BurkiClient("any")
    return time.perf_counter() - start


print(
    "{"
    f'"import": {(imported - start) * 1000}, "construct": {asyncio.run(construct()) * 1000}, '
    f'"extras": {sum(sys.modules.get(name) is not None for name in EXTRAS)}'
    "}"
)
