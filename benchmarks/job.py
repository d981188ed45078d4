"""Job: the pull that each client of the benchmarks does."""

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
        in_flight: the maximum number of requests in flight; sequential clients use fewer.
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
        """Return the headers that the API requires."""
        return {"Authorization": f"Bearer {self.key}"}
