"""Scenarios: which clients pull which lists, from a server with which behaviour. Data only."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Client:
    """One client: its module in ``peers``, and its labels in the table and the chart."""

    module: str
    label: str
    short: str

    @property
    def name(self) -> str:
        """Return the name by which scenarios refer to it."""
        return self.module.rpartition(".")[2]


CLIENTS = {
    client.name: client
    for client in (
        Client("peers.aioburki_kept", "**aioburki**, kept in a list", "aioburki, kept"),
        Client("peers.aioburki_streamed", "**aioburki**, streamed", "aioburki, streamed"),
        Client(
            "peers.expert",
            "expert by hand: aiohttp + semaphore + msgspec structs",
            "expert by hand",
        ),
        Client("peers.expert_gc_disabled", "expert by hand, gc disabled", "expert, gc disabled"),
        Client("peers.gather", "`gather` + httpx + json + cattrs", "gather + httpx + cattrs"),
        Client(
            "peers.sequential_requests",
            "example of the API reference: `requests`, page by page (dicts)",
            "requests, page by page",
        ),
        Client("peers.dlt_client", "dlt `RESTClient` (dicts)", "dlt RESTClient"),
        Client("peers.official_sdk", "official SDK `burki`", "official SDK"),
        Client("peers.bytes_only", "no decoding: the upper bound", "no decoding"),
    )
}


@dataclass(frozen=True)
class Scenario:
    """A list, how the server answers, and which clients pull it.

    Attributes:
        name: the name that goals and charts use.
        pages: number of pages.
        per_page: contacts on each page.
        latency: milliseconds before each response.
        in_flight: maximum number of requests in flight.
        clients: names of the clients that pull it, in turns.
        heartbeat: whether the event loop lag is measured, which slows the pull down.
        fault_every: the server closes the connection instead of answering every nth request; 0
            for never.
        rounds: maximum number of rounds, for figures that hardly vary.
    """

    name: str
    pages: int
    per_page: int
    latency: int
    in_flight: int
    clients: tuple[str, ...]
    heartbeat: bool = False
    fault_every: int = 0
    rounds: int = 1000

    @property
    def total(self) -> int:
        """Return the number of contacts in the list."""
        return self.pages * self.per_page

    @property
    def title(self) -> str:
        """Return the description for the table."""
        latency = f"{self.latency} ms" if self.latency else "no latency"
        faults = f", every {self.fault_every}th request dropped" if self.fault_every else ""
        pages = f"{self.pages:,} pages of {self.per_page:,}"
        return f"{pages}, {latency}, {self.in_flight} in flight{faults}"

    @property
    def server_mode(self) -> str:
        """Return the latency and fault_every as an argument for the server."""
        return f"{self.latency}:{self.fault_every}"


OURS = ("aioburki_kept", "aioburki_streamed")
BY_HAND = ("expert", "expert_gc_disabled")
ALL_CLIENTS = (
    *OURS, *BY_HAND, "gather", "sequential_requests", "dlt_client", "official_sdk", "bytes_only",
)  # fmt: skip

PULLS = (
    Scenario("near", 200, 1000, 0, 8, ALL_CLIENTS),
    Scenario("far", 200, 1000, 20, 16, ALL_CLIENTS),
    Scenario("small", 4000, 50, 0, 8, (*OURS, *BY_HAND, "bytes_only")),
    Scenario("small-far", 4000, 50, 20, 32, (*OURS, *BY_HAND, "bytes_only")),
)
LAG = tuple(
    replace(pull, name=f"lag-{pull.name}", clients=(*OURS, *BY_HAND, "gather"), heartbeat=True)
    for pull in PULLS[:2]
)
MEMORY = tuple(
    Scenario(f"memory-{pages}", pages, 1000, 0, 8, ("aioburki_streamed",)) for pages in (1000, 100)
)
IN_FLIGHT = tuple(
    Scenario(f"in-flight-{number}", 2000, 50, 20, number, ("aioburki_kept", "expert"))
    for number in (10, 20, 50, 100)
)
FAULTS = (Scenario("faults", 2000, 50, 20, 100, ("aioburki_kept",), fault_every=100, rounds=3),)
ALL = (*PULLS, *LAG, *MEMORY, *IN_FLIGHT, *FAULTS)
