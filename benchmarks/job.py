"""Job: what a client of the benchmarks is asked to do, the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Job:
    """One pull of a whole list.

    Attributes:
        base_url: scheme, host and port.
        path: the endpoint's path.
        key: the API key.
        per_page: contacts on a page.
        in_flight: the most requests a client may have under way; slower ones use fewer.
    """

    base_url: str
    per_page: int
    in_flight: int
    path: str = "/api/v1/campaigns/42/contacts"
    key: str = "any"

    @property
    def url(self) -> str:
        """Return the URL of the endpoint."""
        return self.base_url + self.path

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that the API wants."""
        return {"Authorization": f"Bearer {self.key}"}
