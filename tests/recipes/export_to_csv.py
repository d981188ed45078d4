"""Write the contacts of a campaign to a CSV file and to a JSON Lines file.

Run it with ``python tests/recipes/export_to_csv.py``; it writes to a temporary folder. A file
appears under its name only when it is complete, with mode 0600. The contacts are not kept in
memory.
"""

import asyncio
import csv
import tempfile
from pathlib import Path

from aioburki import BurkiClient
from aioburki.export import export_csv, export_jsonl
from aioburki.sandbox import Sandbox


async def main(folder: Path) -> None:
    """Export the failed contacts to *folder* in both formats."""
    async with BurkiClient("any", transport=Sandbox().transport) as burki:
        failed = burki.contacts(42, status="failed")
        await export_csv(failed.pages(), folder / "failed.csv")
        await export_jsonl(failed.pages(), folder / "failed.jsonl")

    with (folder / "failed.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    print(len(rows), "rows with the columns", ", ".join(rows[0]))


with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))
