"""Sandbox: the API with made-up contacts of one campaign."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal
from urllib.parse import parse_qsl

import anyio
import httpx

from .._list_contacts import MAX_PER_PAGE, known_status
from .._models import ContactStatus, StatusText
from .._validation import flag, requests_per_second, seconds, whole_number
from ._campaign import Campaign, known_order
from ._contact import STATUSES
from ._drift import Drift, drift_rates
from ._faults import apply_fault, fault_shares
from ._parameters import integer_or_problem
from ._response import SandboxResponse, error_response, json_response
from ._token_bucket import TokenBucket
from ._transport import SandboxTransport

_PATH = re.compile(r"/api/v1/campaigns/([^/]+)/contacts")


class Sandbox:
    """The API in process, with made-up contacts of one campaign.

    Args:
        contacts: number of contacts at first, from 0.
        campaign_id: number of the campaign, from 1; any other gets a 404.
        seed: the same seed gives the same contacts and the same faults; from 0.
        latency: seconds before each response, 0 … 3600.
        rate: requests per second, above 0, with a burst of one second's worth. A request above it
            gets a 429 with ``Retry-After``. None for no limit.
        faults: share of requests that fail, 0 … 1, spread evenly over `FAULTS`; or a mapping of
            names in `FAULTS` and `FAULTS_BY_NAME` to shares, such as ``{"503": 0.1}``. None for no
            faults. Which requests fail depends on the page and the attempt, not on timing.
        order: what the list is sorted by. ``"id"``: the oldest first; ``"-id"``: the newest first;
            ``"touched"``: the one that changed last first (set_status, an attempt, an import), at
            first as with ``"-id"``; ``"ties"``: by ``created_at`` alone, and contacts that have
            the same are in another order in each response.
        id_gaps: whether numbers are missing between the ids.
        drift: how the list moves before each response of contacts: a mapping of names in `DRIFTS`
            to numbers per request, 0 … 10,000, such as ``{"leave": 4, "delete": 0.5}``, where 0.5
            is one for every second request. None for a list that stands still. The same requests
            in the same order, with the same seed, move the list in the same way.

    Attributes:
        campaign_id: number of the campaign.
        is_down: set it to True to refuse every connection, as in an outage.
        requests: number of requests received.
        in_flight: number of requests being answered now.
        most_in_flight: maximum of ``in_flight`` so far.

    Raises:
        ConfigurationError: an argument is out of range or of the wrong type.
    """

    def __init__(
        self,
        contacts: int = 10_000,
        *,
        campaign_id: int = 42,
        seed: int = 0,
        latency: float = 0.0,
        rate: float | None = None,
        faults: float | Mapping[str, float] | None = None,
        order: Literal["id", "-id", "touched", "ties"] = "id",
        id_gaps: bool = False,
        drift: Mapping[str, float] | None = None,
    ) -> None:
        self.campaign_id = whole_number("campaign_id", campaign_id, low=1)
        self._seed = whole_number("seed", seed, low=0)
        self._latency = seconds("latency", latency, low=0, high=3600)
        self._bucket = TokenBucket(requests_per_second("rate", rate))
        self._faults = fault_shares(faults)
        self._campaign = Campaign(self._seed, known_order(order), id_gaps=flag("id_gaps", id_gaps))
        self._drift = Drift(self._campaign, drift_rates(drift), self._seed)
        self._attempts: dict[str, int] = {}  # by path and query
        self.is_down = False
        self.requests = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.add(whole_number("contacts", contacts, low=0))

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """Return a transport for ``BurkiClient(transport=…)`` that ends in this sandbox."""
        return SandboxTransport(self.answer)

    def __len__(self) -> int:
        return len(self._campaign)

    def __repr__(self) -> str:
        return f"Sandbox(contacts={len(self)}, campaign_id={self.campaign_id}, seed={self._seed})"

    def add(self, count: int = 1) -> None:
        """Add *count* contacts with the highest ids, as an import during a pull does.

        They come at the end of the list, or at its head where the newest come first.

        Raises:
            ConfigurationError: *count* is not a whole number of at least 0.
        """
        self._campaign.add(whole_number("count", count, low=0))

    def ids(self, status: ContactStatus | StatusText | str | None = None) -> list[int]:
        """Return the ids of the contacts, or of those of a status, as the list has them now.

        Raises:
            ConfigurationError: *status* is not one of the eight documented statuses.
        """
        return list(self._campaign.ids(None if status is None else known_status(status).value))

    def remove(self, *ids: int) -> None:
        """Remove the contacts with these *ids*; all later contacts move up.

        Raises:
            KeyError: there is no such contact.
        """
        for contact_id in ids:
            self._campaign.remove(contact_id)

    def set_status(self, contact_id: int, status: ContactStatus | StatusText | str) -> None:
        """Set a contact's status, as a running campaign does.

        Raises:
            KeyError: there is no such contact.
            ConfigurationError: *status* is not one of the eight documented statuses.
        """
        self._campaign.set_status(contact_id, known_status(status).value)

    async def answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> SandboxResponse:
        """Return the response to one request; *headers* has lower-case names."""
        self.requests += 1
        with self._counting():
            if self._latency:
                await anyio.sleep(self._latency)
            if self.is_down:
                return apply_fault("connect", error_response(503, "The sandbox is down"))
            response = self._respond(method, path, dict(parse_qsl(query, True)), headers)
        if response.status != 200:
            return response
        return self._with_fault(response, f"{path}?{query}")

    @contextmanager
    def _counting(self) -> Generator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def _respond(  # noqa: PLR0911 - one return for each error of the API
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str]
    ) -> SandboxResponse:
        match = _PATH.fullmatch(path)
        if match is None:
            return error_response(404, "Not Found")
        if method != "GET":
            return error_response(405, "Method Not Allowed")
        wait = self._bucket.take()
        if wait:
            retry_after = {"retry-after": str(math.ceil(wait))}
            return error_response(429, "Rate limit exceeded", retry_after)
        if not re.fullmatch(r"(?i:bearer) \S+", headers.get("authorization", "")):
            return error_response(401, "Not authenticated")
        campaign = integer_or_problem(("path", "campaign_id"), match[1])
        page = integer_or_problem(("query", "page"), query.get("page", "1"), low=1)
        per_page = integer_or_problem(
            ("query", "per_page"), query.get("per_page", "50"), 1, MAX_PER_PAGE
        )
        if problems := [each for each in (campaign, page, per_page) if isinstance(each, dict)]:
            return error_response(422, problems)
        if campaign != self.campaign_id:
            return error_response(404, "Campaign not found")
        status = query.get("status")
        if status is not None and status not in STATUSES:
            return error_response(400, f"Invalid status. Must be one of: {', '.join(STATUSES)}")
        assert isinstance(page, int)
        assert isinstance(per_page, int)
        self._drift.move(status)
        return json_response(200, self._campaign.page(page, per_page, status))

    def _with_fault(self, response: SandboxResponse, url: str) -> SandboxResponse:
        """Apply the fault that is drawn for this attempt at *url*, if any."""
        if not self._faults:
            return response
        attempt = self._attempts[url] = self._attempts.get(url, 0) + 1
        point = random.Random(f"{self._seed} {attempt} {url}").random()  # noqa: S311
        for name, share in self._faults.items():
            point -= share
            if point < 0:
                return apply_fault(name, response)
        return response
