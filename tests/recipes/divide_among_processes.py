"""Divide the contacts of a campaign among processes.

Run it with ``python tests/recipes/divide_among_processes.py``. Each range is complete by itself, so
that together they are all contacts, however the list moves between. The text of a range holds ids
and times only; each process makes its own client, from BURKI_API_KEY and BURKI_BASE_URL.
"""

import asyncio
import logging
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from aioburki import BurkiClient
from aioburki.sandbox import Sandbox, serve


async def ids_of(part: str) -> list[int]:
    """Return the ids of the contacts of a range, or raise if it is not proved complete."""
    async with BurkiClient() as burki:
        contacts = await burki.contacts(part)
    contacts.report.raise_if_incomplete()
    return [contact.id for contact in contacts]


def work(part: str) -> list[int]:
    """Do the work of one process."""
    logging.getLogger("aioburki").setLevel(logging.ERROR)  # no warning that the list moved
    return asyncio.run(ids_of(part))


async def main() -> None:
    """Divide 10,000 contacts, of which three are deleted with each request, among two processes."""
    sandbox = Sandbox(10_000, drift={"delete": 3})
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(sandbox, 0, url.set_result))
    os.environ |= {"BURKI_BASE_URL": await url, "BURKI_API_KEY": "any"}

    async with BurkiClient() as burki:
        parts = await burki.contacts(42).split(8)  # more ranges than processes: none is idle long
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        done = await asyncio.gather(
            *(loop.run_in_executor(pool, work, str(part)) for part in parts)
        )
    server.cancel()
    ids = [each for part in done for each in part]
    print(len(parts), "ranges, each proved complete")
    print("all lasting contacts:", set(sandbox.ids()) <= set(ids))
    print("each once:", len(ids) == len(set(ids)))


if __name__ == "__main__":
    asyncio.run(main())
