"""Serve a made-up campaign from memory, in its own process and as fast as possible in Python.

The benchmarks start it. It renders all contacts in advance, so that a response of any page size is
a copy of a part of them, prints one line of JSON with its ports (one for each mode, which is a
latency and a rate of faults) and serves until it is killed.
``/stats`` returns and resets the counters of a port; ``/ids`` returns the checksum of the ids of
the first contacts. The ids ascend with gaps from a random seed, so that no client can guess them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import re
import secrets
from array import array
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from ids import Ids

PATH = b"GET /api/v1/campaigns/42/contacts"
PAGE = re.compile(rb"[?&]page=(\d+)")
PER_PAGE = re.compile(rb"[?&]per_page=(\d+)")
FIRST = re.compile(rb"[?&]first=(\d+)")
KEY = re.compile(rb"\r\nauthorization: bearer \S", re.IGNORECASE)
MAX_PER_PAGE = 1000
PAGINATION = (
    b'{"page":%d,"per_page":%d,"total_items":%d,"total_pages":%d,"has_next":%b,"has_prev":%b}'
)
BOOLEANS = (b"false", b"true")
STATUSES = (
    "pending", "in_progress", "completed", "failed", "skipped", "no_answer", "busy", "voicemail"
)  # fmt: skip
NAMES = ("John Smith", "Jane Doe", "Ana Souza", "Li Wei", "Zo\u00eb M\u00fcller", "Omar Haddad")
COMPANIES = ("Acme Corporation", "Tech Inc", "Globex International", "Initech", "Umbrella Group")


class Campaign:
    """One list of contacts, rendered in advance.

    Attributes:
        ids: the ids of the contacts, in order.
    """

    def __init__(self, total: int) -> None:
        draw = random.Random(secrets.randbits(64))  # noqa: S311 - not secret
        self.ids: list[int] = []
        last = 100
        for _ in range(total):
            last += draw.randint(1, 9)
            self.ids.append(last)
        contacts = [contact(number, draw).encode() for number in self.ids]
        self._rendered = memoryview(b",".join(contacts))
        ends = accumulate(len(each) + 1 for each in contacts)
        self._starts = array("q", [0, *ends])

    def respond(self, head: bytes) -> bytes:
        """Return the complete response to a request."""
        if not KEY.search(head):
            return response(b'{"detail":"Not authenticated"}', b"401 Unauthorized")
        page, per_page = PAGE.search(head), PER_PAGE.search(head)
        number, size = int(page[1]) if page else 1, int(per_page[1]) if per_page else 50
        if number < 1 or not 1 <= size <= MAX_PER_PAGE:
            return response(b'{"detail":"page or per_page out of range"}', b"400 Bad Request")
        return self._page(number, size)

    def _page(self, number: int, size: int) -> bytes:
        total = len(self.ids)
        first = min((number - 1) * size, total)
        end = min(first + size, total)
        rows = self._rendered[self._starts[first] : max(0, self._starts[end] - 1)]
        pages = -(-total // size)
        pagination = PAGINATION % (
            number, size, total, pages, BOOLEANS[number < pages], BOOLEANS[number > 1]
        )  # fmt: skip
        return response(b'{"contacts":[%b],"pagination":%b}' % (rows, pagination))

    def checksum(self, head: bytes) -> dict[str, object]:
        """Return the checksum of the ids of the first contacts."""
        first = FIRST.search(head)
        return Ids(self.ids[: int(first[1]) if first else None]).summary()


def contact(number: int, draw: random.Random) -> str:
    """Return a contact in the shape of the API reference."""
    status = draw.choice(STATUSES)
    day, minute = draw.randint(10, 28), draw.randint(10, 59)
    attempts = 0 if status in ("pending", "skipped") else draw.randint(1, 3)
    last_attempt = f'"2024-03-{day}T11:{minute}:07Z"' if attempts else "null"
    # Absent on every second contact, as in the example of the API reference.
    custom = f',"custom_fields":{{"customer_id":"CUST{number:07}"}}' if number % 2 else ""
    return (
        f'{{"id":{number},"phone_number":"+1555{draw.randrange(10**7):07}","contact_data":'
        f'{{"company":"{draw.choice(COMPANIES)}","source":"csv_import","variable_values":'
        f'{{"name":"{draw.choice(NAMES)}","appointment_date":"2024-03-{day}"}}{custom}}},'
        f'"status":"{status}","attempts":{attempts},'
        f'"created_at":"2024-02-{day}T10:30:00Z","last_attempt_at":{last_attempt}}}'
    )


def response(body: bytes, status: bytes = b"200 OK") -> bytes:
    """Return the bytes of a response, head and body."""
    return (
        b"HTTP/1.1 %b\r\ndate: Thu, 01 Feb 2024 10:30:00 GMT\r\nserver: uvicorn\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (status, len(body), body)
    )


@dataclass
class Port:
    """One port: its mode and its counters."""

    campaign: Campaign
    latency: float = 0.0
    fault_every: int = 0
    connections: int = 0
    requests: int = 0
    faults: int = 0

    def stats(self) -> dict[str, object]:
        """Return the counters since the last call, and reset them."""
        stats: dict[str, object] = {
            "connections": self.connections,
            "requests": self.requests,
            "faults": self.faults,
        }
        self.connections = self.requests = self.faults = 0
        return stats


class Connection(asyncio.Protocol):
    """Serve the requests of one connection."""

    def __init__(self, port: Port, loop: asyncio.AbstractEventLoop) -> None:
        self._port = port
        self._loop = loop
        self._received = b""
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[: end + 2], self._received[end + 4 :]
            self._respond(head)

    def _respond(self, head: bytes) -> None:
        port = self._port
        if not head.startswith(PATH):
            is_stats = head.startswith(b"GET /stats")
            content = port.stats() if is_stats else port.campaign.checksum(head)
            self._transport.write(response(json.dumps(content).encode()))
            return
        port.requests += 1
        if not self._is_counted:
            self._is_counted = True
            port.connections += 1
        if port.fault_every and port.requests % port.fault_every == 0:
            port.faults += 1
            self._transport.close()
            return
        content = port.campaign.respond(head)
        if port.latency:
            self._loop.call_later(port.latency, self._transport.write, content)
        else:
            self._transport.write(content)


async def serve(total: int, modes: list[str]) -> None:
    """Print the ports and serve until killed.

    Args:
        total: contacts in the list.
        modes: one for each port, as ``latency:n``: the latency in milliseconds, and that every nth
            request fails (0 for none), such as ``20:0``.
    """
    campaign = Campaign(total)
    gc.collect()
    gc.freeze()  # the contacts stay alive as long as the process
    loop = asyncio.get_running_loop()
    ports: dict[str, int] = {}
    servers = []
    for mode in modes:
        latency, fault_every = mode.split(":")
        port = Port(campaign, float(latency) / 1000, int(fault_every))
        connection = partial(Connection, port, loop)
        server = await loop.create_server(connection, "127.0.0.1", 0, backlog=1024)
        servers.append(server)
        ports[mode] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, required=True)
    parser.add_argument("--modes", nargs="+", required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.contacts, options.modes))
