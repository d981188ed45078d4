"""Sandbox: the API in process, for demos and for your own tests; no network, no key.

It answers as the API's reference page says, 400, 401, 404 and 422 included, and can be made
slow, limited, faulty and moving. The same seed gives the same contacts and the same faults::

    sandbox = Sandbox(contacts=2_500, faults=0.1)
    async with BurkiClient("any", transport=sandbox.transport) as burki:
        contacts = await burki.contacts(42)
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import anyio
import httpx

from .._list_contacts import MAX_PER_PAGE, known_status
from .._models import ContactStatus
from .._validation import requests_per_second, seconds, whole_number
from ._campaign import STATUSES, Campaign
from ._faults import ROUNDING, fault_shares, faulty
from ._response import Answer, json_answer, refusal

_PATH = re.compile(r"/api/v1/campaigns/([^/]+)/contacts")


class Sandbox:
    """Play the API with made-up contacts of one campaign.

    Args:
        contacts: how many contacts the campaign has at first.
        campaign_id: number of the campaign; any other is answered with 404.
        seed: the same seed gives the same contacts and faults.
        latency: seconds before each answer.
        rate: requests per second, with a burst of one second's worth; what exceeds it is
            answered with 429 and ``Retry-After``. None for no limit.
        faults: share of requests that fail, 0 … 1, evenly in all the ways of `FAULTS`; or a
            mapping of some of these or of `FAULTS_BY_NAME` to their shares, such as
            ``{"503": 0.1}``. None for none. Which requests fail depends on page and attempt,
            not on timing.

    Attributes:
        is_down: set it to have every request fail to connect, as in an outage.
        requests: requests received so far.
        in_flight: requests being answered now.
        most_in_flight: the most that were at once.

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
    ) -> None:
        self.campaign_id = whole_number("campaign_id", campaign_id, low=1)
        self._seed = whole_number("seed", seed, low=0)
        self._latency = seconds("latency", latency, low=0, high=3600)
        self._limit = _Limit(requests_per_second("rate", rate))
        self._faults = fault_shares(faults)
        self._campaign = Campaign(self._seed)
        self._asked: dict[str, int] = {}
        self.is_down = False
        self.requests = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.add(whole_number("contacts", contacts, low=0))

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """Return a transport for ``BurkiClient(transport=…)`` that this sandbox answers."""
        return _SandboxTransport(self)

    def __len__(self) -> int:
        return len(self._campaign)

    def __repr__(self) -> str:
        return f"Sandbox(contacts={len(self)}, campaign_id={self.campaign_id}, seed={self._seed})"

    def add(self, count: int = 1) -> None:
        """Add *count* contacts at the end of the list, as an import during a pull does."""
        self._campaign.add(whole_number("count", count, low=0))

    def remove(self, *ids: int) -> None:
        """Remove the contacts with these *ids*; all behind them move up.

        Raises:
            KeyError: there is no such contact.
        """
        for contact_id in ids:
            self._campaign.remove(contact_id)

    def set_status(self, contact_id: int, status: ContactStatus | str) -> None:
        """Give a contact another of the eight statuses, as a running campaign does.

        Raises:
            KeyError: there is no such contact.
            ConfigurationError: there is no such status.
        """
        self._campaign.set_status(contact_id, known_status(status))

    async def answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> Answer:
        """Answer one request; *headers* has lower-case names."""
        self.requests += 1
        with self._counted():
            if self._latency:
                await anyio.sleep(self._latency)
            if self.is_down:
                return faulty("connect", refusal(503, "The sandbox is down"))
            answer = self._answer(method, path, dict(parse_qsl(query, True)), headers)
        return self._with_fault(answer, f"{path}?{query}") if answer.status == 200 else answer

    @contextmanager
    def _counted(self) -> Generator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def _answer(  # noqa: PLR0911 - each refusal of the API is a way out
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str]
    ) -> Answer:
        match = _PATH.fullmatch(path)
        if match is None:
            return refusal(404, "Not Found")
        if method != "GET":
            return refusal(405, "Method Not Allowed")
        wait = self._limit.take()
        if wait:
            return refusal(429, "Rate limit exceeded", {"retry-after": str(math.ceil(wait))})
        if not re.fullmatch(r"(?i:bearer) \S+", headers.get("authorization", "")):
            return refusal(401, "Not authenticated")
        campaign = _integer(("path", "campaign_id"), match[1])
        page = _integer(("query", "page"), query.get("page", "1"), low=1)
        per_page = _integer(("query", "per_page"), query.get("per_page", "50"), 1, MAX_PER_PAGE)
        if invalid := [value for value in (campaign, page, per_page) if isinstance(value, dict)]:
            return refusal(422, invalid)
        if campaign != self.campaign_id:
            return refusal(404, "Campaign not found")
        status = query.get("status")
        if status is not None and status not in STATUSES:
            return refusal(400, f"Invalid status. Must be one of: {', '.join(STATUSES)}")
        assert isinstance(page, int)
        assert isinstance(per_page, int)
        return json_answer(200, self._campaign.page(page, per_page, status))

    def _with_fault(self, answer: Answer, url: str) -> Answer:
        if not self._faults:
            return answer
        attempt = self._asked[url] = self._asked.get(url, 0) + 1
        point = random.Random(f"{self._seed} {attempt} {url}").random()  # noqa: S311
        for name, share in self._faults.items():
            point -= share
            if point < 0:
                return faulty(name, answer)
        return answer


class _Limit:
    """A bucket of one second's worth of requests, refilled at *rate*."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._full_at = -math.inf

    def take(self) -> float:
        """Take one request; return 0, or the seconds until there would be one to take."""
        if self._rate is None:
            return 0.0
        now = anyio.current_time()
        full_at = max(self._full_at, now) + 1 / self._rate
        # A limit below one a second still lets one request through.
        excess = full_at - now - max(1.0, 1 / self._rate)
        if excess > ROUNDING:
            return excess
        self._full_at = full_at
        return 0.0


class _SandboxTransport(httpx.AsyncBaseTransport):
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = await self._sandbox.answer(
            request.method, url.path, url.query.decode(), request.headers
        )
        match answer.fault:
            case "connect":
                raise httpx.ConnectError("sandbox: no connection", request=request)
            case "disconnect":
                raise httpx.RemoteProtocolError("sandbox: server disconnected", request=request)
            case "reset":
                raise httpx.ReadError("sandbox: connection reset", request=request)
            case "timeout":
                await anyio.sleep_forever()
            case _:
                pass
        body = _Half(answer) if answer.fault else httpx.ByteStream(answer.body)
        return httpx.Response(answer.status, headers=answer.headers, stream=body)


class _Half(httpx.AsyncByteStream):
    """Half a body, and then the end of the connection, or nothing for as long as anybody waits."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._answer.body[: len(self._answer.body) // 2]
        if self._answer.fault == "stall":
            await anyio.sleep_forever()
        raise httpx.ReadError("sandbox: connection lost")


def _integer(
    location: tuple[str, str], text: str, low: int | None = None, high: int | None = None
) -> int | dict[str, Any]:
    """Return the integer that *text* is, or the problem that FastAPI would report."""
    problem: tuple[str, str] | None = None
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
    if number is None:
        problem = (
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        )
    elif low is not None and number < low:
        problem = ("greater_than_equal", f"Input should be greater than or equal to {low}")
    elif high is not None and number > high:
        problem = ("less_than_equal", f"Input should be less than or equal to {high}")
    if problem is None and number is not None:
        return number
    assert problem is not None
    return {"type": problem[0], "loc": list(location), "msg": problem[1], "input": text}
