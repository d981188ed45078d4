"""Scenarios: which clients pull what, side by side. Data only."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Client:
    """One way to pull: the module that does it, and what the table calls it."""

    module: str
    label: str
    short: str

    @property
    def name(self) -> str:
        """Return the name that scenarios use."""
        return self.module.rpartition(".")[2]


CLIENTS = {
    client.name: client
    for client in (
        Client("peers.aioburki_kept", "**aioburki**, kept in a list", "aioburki, kept"),
        Client("peers.aioburki_streamed", "**aioburki**, streamed", "aioburki, streamed"),
        Client("peers.expert", "expert: aiohttp + semaphore + msgspec structs", "expert by hand"),
        Client("peers.expert_tamed", "expert, collector off", "expert, collector off"),
        Client("peers.gather", "`gather` + httpx + json + cattrs", "gather + httpx + cattrs"),
        Client(
            "peers.one_after_another",
            "the API page's example: `requests`, page after page (dicts)",
            "requests, one by one",
        ),
        Client("peers.dlt_client", "dlt `RESTClient` (dicts)", "dlt RESTClient"),
        Client("peers.official_sdk", "official SDK `burki`", "official SDK"),
        Client("peers.bytes_only", "nothing decoded: the wire's limit", "nothing decoded"),
    )
}


@dataclass(frozen=True)
class Scenario:
    """A list in pages, how the server answers, and who pulls it.

    Attributes:
        name: as goals and charts call it.
        pages: how many.
        per_page: contacts on each.
        latency: milliseconds before each answer.
        in_flight: the most requests under way.
        clients: names of those who pull it; they take turns.
        heartbeat: whether a task beats beside the pull, which costs some of its time.
        fault_every: the server drops the connection instead of answering this one; 0 for none.
        rounds: at most so many, where the figure hardly varies.
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
        """Return the contacts in the list."""
        return self.pages * self.per_page

    @property
    def title(self) -> str:
        """Return what the table calls it."""
        latency = f"{self.latency} ms" if self.latency else "no latency"
        faults = f", every {self.fault_every}th request dropped" if self.fault_every else ""
        pages = f"{self.pages:,} pages of {self.per_page:,}"
        return f"{pages}, {latency}, {self.in_flight} in flight{faults}"

    @property
    def way(self) -> str:
        """Return how the server answers, in its own words."""
        return f"{self.latency}:{self.fault_every}"


OURS = ("aioburki_kept", "aioburki_streamed")
BY_HAND = ("expert", "expert_tamed")
EVERYBODY = (
    *OURS, *BY_HAND, "gather", "one_after_another", "dlt_client", "official_sdk", "bytes_only",
)  # fmt: skip

PULLS = (
    Scenario("near", 200, 1000, 0, 8, EVERYBODY),
    Scenario("far", 200, 1000, 20, 16, EVERYBODY),
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
