"""Measure what decoding a page of 1,000 contacts costs, by the way it is decoded.

Run it with ``python benchmarks/decode.py``. The ways take turns in one process, seven rounds,
with the garbage collector off; the table shows medians, and ratios to msgspec's own structs,
which is what Python can do at best today.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from aioburki import ContactStatus
from aioburki._decode import decode_page
from aioburki._parse import parse
from aioburki._structure import structure_page
from aioburki.sandbox import Sandbox

ROUNDS = 7
PAGES = 10


class Data(msgspec.Struct):
    company: str | None = None
    source: str | None = None
    variable_values: dict[str, Any] = {}
    custom_fields: dict[str, Any] = {}


class Person(msgspec.Struct):
    id: int
    phone_number: str
    contact_data: Data
    status: ContactStatus
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class Page(msgspec.Struct):
    contacts: list[Person]
    pagination: dict[str, Any]


async def page() -> bytes:
    """Return a page of the sandbox."""
    path, key = "/api/v1/campaigns/42/contacts", {"authorization": "Bearer any"}
    return (await Sandbox(1000).answer("GET", path, "per_page=1000", key)).body


def compare() -> None:
    """Run all ways interleaved and print the table."""
    ways: dict[str, Callable[[bytes], object]] = {
        "msgspec structs": msgspec.json.Decoder(Page).decode,
        "aioburki, documented page": decode_page,
        "aioburki, any other page": lambda body: structure_page(parse(body)),
    }
    body = asyncio.run(page())
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    for _ in range(ROUNDS):
        for name, decode in ways.items():
            start = time.perf_counter()
            for _ in range(PAGES):
                decode(body)
            times[name].append((time.perf_counter() - start) / PAGES / 1000)
            gc.collect()
    base = statistics.median(times["msgspec structs"])
    print("| way | µs per contact | ratio |")
    print("|---|---|---|")
    for name, runs in times.items():
        median = statistics.median(runs)
        print(f"| {name} | {median * 1e6:.2f} | {median / base:.1f} |")


if __name__ == "__main__":
    compare()
