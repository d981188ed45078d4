"""Measure the cost of decoding a page of 1,000 contacts, by decoder and by content of the page.

Run it with ``python benchmarks/decode.py``. The decoders take turns in one process, with garbage
collection disabled; freeing the decoded objects is part of the time. The tables show medians of
fifteen rounds, and ratios to msgspec's own structs with the same fields and types, the fastest
decoder that Python has today.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import attrs
import msgspec

from aioburki import ContactStatus
from aioburki._decoding.json_checks import parse
from aioburki._list_contacts import CONTACTS
from aioburki.sandbox import Sandbox

ROUNDS = 15
PAGES = 5

FreeForm = dict[str, Any]


class StructData(msgspec.Struct, frozen=True):
    company: str | None = None
    source: str | None = None
    variable_values: FreeForm = {}
    custom_fields: FreeForm = {}
    extra: FreeForm = {}


class StructContact(msgspec.Struct, frozen=True):
    id: int
    phone_number: str
    contact_data: StructData
    status: ContactStatus
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


class StructPagination(msgspec.Struct, frozen=True):
    page: int
    per_page: int
    total_items: int
    total_pages: int
    has_next: bool
    has_prev: bool


class StructPage(msgspec.Struct, frozen=True):
    contacts: tuple[StructContact, ...]
    pagination: StructPagination


@attrs.frozen
class BareData:
    company: str | None = None
    source: str | None = None
    variable_values: FreeForm = attrs.field(factory=dict)
    custom_fields: FreeForm = attrs.field(factory=dict)


@attrs.frozen
class BareContact:
    id: int
    phone_number: str
    contact_data: BareData
    status: ContactStatus
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None


@attrs.frozen
class BarePage:
    contacts: tuple[BareContact, ...]
    pagination: FreeForm


def decode_tolerantly(body: bytes) -> object:
    """Decode a page with the tolerant decoder alone."""
    return CONTACTS.decoder.tolerant.read(parse(body, "contacts"))


async def sandbox_page() -> Any:
    """Return a page of the sandbox, in the documented shape."""
    path, key = "/api/v1/campaigns/42/contacts", {"authorization": "Bearer any"}
    return json.loads((await Sandbox(1000).answer("GET", path, "per_page=1000", key)).body)


def pages() -> Iterator[tuple[str, bytes]]:
    """Yield pages of 1,000 contacts, each with a description of what differs in it."""
    page = asyncio.run(sandbox_page())

    def body() -> bytes:
        return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()

    yield "documented", body()
    for number, contact in enumerate(page["contacts"]):
        if number % 2:  # as the second contact of the API's reference page
            contact["contact_data"].pop("custom_fields", None)
            contact["last_attempt_at"] = None
        else:
            contact["contact_data"]["custom_fields"] = {"customer_id": f"CUST{number}"}
    yield "documented, as on the reference page", body()
    for contact in page["contacts"]:
        contact["agent_id"] = 7
    yield "a new field in each contact", body()
    for contact in page["contacts"]:
        del contact["agent_id"]
        contact["created_at"] = contact["created_at"].removesuffix("Z")
    yield "timestamps without a zone", body()
    page["contacts"][500]["attempts"] = None
    yield "one `attempts` that is null", body()
    for contact in page["contacts"]:
        contact["contact_data"]["email"] = "someone@example.com"
    yield "a new key in each `contact_data`", body()


def median_times(decoders: dict[str, Callable[[bytes], object]], body: bytes) -> dict[str, float]:
    """Return CPU microseconds per contact of each of *decoders*, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(ROUNDS):
        for name, decode in decoders.items():
            start = time.process_time()
            for _ in range(PAGES):
                decode(body)
            times[name].append((time.process_time() - start) / PAGES * 1e3)
            gc.collect()
    return {name: statistics.median(runs) for name, runs in times.items()}


def compare() -> None:
    """Print a table by decoder and a table by page."""
    bodies = dict(pages())
    structs = msgspec.json.Decoder(StructPage).decode
    decoders: dict[str, Callable[[bytes], object]] = {
        "msgspec to structs": structs,
        "msgspec to attrs classes, no `extra`": msgspec.json.Decoder(BarePage).decode,
        "aioburki": CONTACTS.decoder.decode,
        "aioburki, tolerant decoder alone": decode_tolerantly,
    }
    gc.disable()
    print("| decoder, documented page | µs per contact | ratio |")
    print("|---|---|---|")
    medians = median_times(decoders, bodies["documented"])
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} | {median / medians['msgspec to structs']:.2f} |")
    print("\n| aioburki, by page | µs per contact | ratio to structs, documented page |")
    print("|---|---|---|")
    documented = bodies["documented"]
    decoders = {"aioburki": CONTACTS.decoder.decode, "structs": lambda _: structs(documented)}
    for name, body in bodies.items():
        medians = median_times(decoders, body)
        ratio = medians["aioburki"] / medians["structs"]
        print(f"| {name} | {medians['aioburki']:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    compare()
