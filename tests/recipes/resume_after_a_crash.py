"""Go on where a process ended: keep the range that is left beside what has been done.

Run it with ``python tests/recipes/resume_after_a_crash.py``. The contacts and the text of what is
left are stored in one transaction, so that after a crash at any moment no contact is missing and
none is there twice. To write a file instead, use ``aioburki contacts 42 -o FILE --resume``.
"""

import asyncio
import logging
import sqlite3

from aioburki import BurkiClient, ContactStream
from aioburki.sandbox import Sandbox


class CrashError(Exception):
    """Stands for a power cut."""


async def copy_contacts(burki: BurkiClient, database: sqlite3.Connection, crash_at: int) -> None:
    """Copy the contacts of campaign 42 to *database*, from where the last run ended."""
    (left,) = database.execute("SELECT range FROM progress").fetchone()
    if left == "":  # everything was copied
        return
    async with burki.contacts(left or 42, per_page=100).stream() as stream:
        rows: list[tuple[int, str]] = []
        async for contact in stream:
            rows.append((contact.id, contact.status))
            if len(rows) == 250:
                store(database, rows, stream)
                rows.clear()
            crash_at -= 1
            if crash_at == 0:
                raise CrashError
        store(database, rows, stream)
        stream.report.raise_if_incomplete()


def store(database: sqlite3.Connection, rows: list[tuple[int, str]], stream: ContactStream) -> None:
    """Store *rows* together with what is left; None is left when everything was taken."""
    with database:
        database.executemany("INSERT INTO contacts VALUES (?, ?)", rows)
        database.execute("UPDATE progress SET range = ?", (str(stream.rest or ""),))


async def main() -> None:
    """Copy 3,000 contacts, of which one is deleted with each request, in three runs."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, status TEXT)")
    database.execute("CREATE TABLE progress (range TEXT)")
    database.execute("INSERT INTO progress VALUES (NULL)")
    sandbox = Sandbox(3_000, drift={"delete": 1})
    for crash_at in (1_111, 777, 10_000):
        try:
            async with BurkiClient("any", transport=sandbox.transport) as burki:
                await copy_contacts(burki, database, crash_at)
        except CrashError:
            print("crashed after", *database.execute("SELECT count(*) FROM contacts").fetchone())
    copied = {row for (row,) in database.execute("SELECT id FROM contacts")}
    print(len(set(sandbox.ids()) - copied), "contacts are missing")
    database.close()


logging.getLogger("aioburki").setLevel(logging.ERROR)  # no warning that the list moved
asyncio.run(main())
