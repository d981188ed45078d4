"""The sandbox: the API as documented, in process, reproducible, with faults on request."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pages import KEY

from aioburki import (
    AuthenticationError,
    BurkiClient,
    BurkiError,
    ConfigurationError,
    ContactStatus,
    NotFoundError,
    PageFetched,
    PermissionDeniedError,
    ResponseDecodeError,
    UnexpectedResponseError,
)
from aioburki.sandbox import FAULTS, FAULTS_BY_NAME, Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

INVALID_STATUS = (
    "Invalid status. Must be one of: pending, in_progress, completed, failed, skipped, "
    "no_answer, busy, voicemail"
)
PATH = "/api/v1/campaigns/42/contacts"


async def get(
    sandbox: Sandbox, url: str, method: str = "GET", key: str | None = "any"
) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=sandbox.transport, base_url="http://x") as client:
        return await client.request(method, url, headers=headers)


async def test_page_has_the_documented_shape() -> None:
    """Envelope, fields and defaults are those of the API documentation."""
    response = await get(Sandbox(120), PATH)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    content = response.json()
    assert content["pagination"] == {
        "page": 1, "per_page": 50, "total_items": 120, "total_pages": 3,
        "has_next": True, "has_prev": False,
    }  # fmt: skip
    first, second = content["contacts"][:2]
    assert list(first) == [
        "id", "phone_number", "contact_data", "status", "attempts", "created_at",
        "last_attempt_at",
    ]  # fmt: skip
    assert list(first["contact_data"]) == ["company", "source", "variable_values", "custom_fields"]
    assert "custom_fields" not in second["contact_data"]
    assert first["created_at"] == "2024-02-01T10:30:00Z"
    assert first["phone_number"].startswith("+1555")


async def test_pages_past_the_end_are_empty() -> None:
    """A page past the end has no contacts and no next page."""
    content = (await get(Sandbox(120), f"{PATH}?page=9&per_page=50")).json()
    assert content["contacts"] == []
    assert not content["pagination"]["has_next"]
    assert content["pagination"]["has_prev"]


@pytest.mark.parametrize(
    ("url", "method", "key", "status", "detail"),
    [
        (PATH, "GET", None, 401, "Not authenticated"),
        (PATH, "GET", "two words", 401, "Not authenticated"),
        (f"{PATH}?page=x", "GET", None, 401, "Not authenticated"),
        (PATH.replace("42", "7"), "GET", "any", 404, "Campaign not found"),
        ("/api/v1/campaigns", "GET", "any", 404, "Not Found"),
        (PATH, "POST", "any", 405, "Method Not Allowed"),
        (f"{PATH}?status=faild", "GET", "any", 400, INVALID_STATUS),
        (f"{PATH}?status=", "GET", "any", 400, None),
    ],
)  # fmt: skip
async def test_errors_are_those_of_the_api(
    url: str, method: str, key: str | None, status: int, detail: str | None
) -> None:
    """Each error has the status and the `detail` of FastAPI."""
    response = await get(Sandbox(10), url, method, key)
    assert response.status_code == status
    assert detail is None or response.json() == {"detail": detail}


@pytest.mark.parametrize(
    ("query", "location", "kind"),
    [
        ("page=0", ["query", "page"], "greater_than_equal"),
        ("page=x", ["query", "page"], "int_parsing"),
        ("page=", ["query", "page"], "int_parsing"),
        ("per_page=1001", ["query", "per_page"], "less_than_equal"),
        ("per_page=1.5", ["query", "per_page"], "int_parsing"),
    ],
)
async def test_invalid_numbers_are_422(query: str, location: list[str], kind: str) -> None:
    """A parameter that is not a number in range gets the 422 of FastAPI."""
    response = await get(Sandbox(10), f"{PATH}?{query}")
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == location
    assert problem["type"] == kind
    assert problem["msg"].startswith("Input should be")
    response = await get(Sandbox(10), "/api/v1/campaigns/x/contacts?page=0")
    assert [problem["loc"][0] for problem in response.json()["detail"]] == ["path", "query"]


async def test_the_same_seed_gives_the_same_contacts() -> None:
    """Contacts depend on the seed only."""

    async def pull(seed: int) -> list[Any]:
        async with BurkiClient(KEY, transport=Sandbox(500, seed=seed).transport) as burki:
            return await burki.contacts(42)

    assert await pull(1) == await pull(1)
    assert await pull(1) != await pull(2)


async def test_list_can_change_during_a_pull() -> None:
    """Contacts can be added and removed, and their status set, during a pull."""
    sandbox = Sandbox(30)
    async with BurkiClient(KEY, transport=sandbox.transport, concurrency=1) as burki:
        async with burki.contacts(42, per_page=10).stream() as stream:
            async for contact in stream:
                if contact.id == 101:
                    sandbox.add(200)
            assert stream.report.contacts == 230
            assert not stream.report.consistent
        sandbox.remove(101, 102)
        assert len(sandbox) == 228
        assert "contacts=228" in repr(sandbox)
        sandbox.set_status(103, "voicemail")
        sandbox.set_status(104, ContactStatus.VOICEMAIL)
        found = [each.id for each in await burki.contacts(42, status="voicemail")]
        assert found[:2] == [103, 104]
    for missing in (101, 9999):
        with pytest.raises(KeyError):
            sandbox.remove(missing)
    with pytest.raises(ValueError, match="queued"):
        sandbox.set_status(103, "queued")


async def test_latency_is_in_seconds() -> None:
    """Each response takes `latency` seconds."""
    start = asyncio.get_running_loop().time()
    await get(Sandbox(1, latency=2.5), PATH)
    assert asyncio.get_running_loop().time() - start == 2.5


async def test_rate_is_enforced() -> None:
    """Requests above the rate get a 429 with Retry-After; a client at the rate gets none."""
    sandbox = Sandbox(10, rate=5)
    answers = [await get(sandbox, PATH) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json() == {"detail": "Rate limit exceeded"}
    await asyncio.sleep(1)
    assert (await get(sandbox, PATH)).status_code == 200
    slow = Sandbox(10, rate=0.1)
    assert (await get(slow, PATH)).status_code == 200
    assert (await get(slow, PATH)).headers["retry-after"] == "10"
    kept = Sandbox(1000, rate=20)
    async with BurkiClient(KEY, transport=kept.transport, rate=20) as burki:
        assert (await burki.contacts(42, per_page=5)).report.rate_limited == 0
    unknown = Sandbox(1000, rate=20)
    async with BurkiClient(KEY, transport=unknown.transport) as burki:
        contacts = await burki.contacts(42, per_page=5)
    assert len(contacts) == 1000
    assert contacts.report.rate_limited > 0


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_survived(fault: str) -> None:
    """A fault in a third of the requests costs no contact."""
    sandbox = Sandbox(2000, faults={fault: 0.33}, seed=1)
    async with BurkiClient(KEY, transport=sandbox.transport, attempts=20) as burki:
        contacts = await burki.contacts(42, per_page=50)
    assert [contact.id for contact in contacts] == list(range(101, 2101))
    assert contacts.report.requests == sandbox.requests > 40
    assert contacts.report.consistent


@pytest.mark.parametrize("fault", ["timeout", "stall"])
async def test_timeouts_are_survived(fault: str) -> None:
    """If the sandbox stops sending, the attempt times out and the next one succeeds."""
    sandbox = Sandbox(2000, faults={fault: 0.2}, seed=1)
    async with BurkiClient(KEY, transport=sandbox.transport, attempts=20) as burki:
        contacts = await burki.contacts(42, per_page=50)
    assert [contact.id for contact in contacts] == list(range(101, 2101))
    assert contacts.report.retries > 3
    assert contacts.report.elapsed >= 30


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("redirect", UnexpectedResponseError),
        ("nested", ResponseDecodeError),
        ("401", AuthenticationError),
        ("403", PermissionDeniedError),
        ("404", NotFoundError),
    ],
)
async def test_permanent_faults_are_raised_at_once(fault: str, kind: type[BurkiError]) -> None:
    """A fault that no retry helps against ends the pull after one request."""
    assert fault in FAULTS_BY_NAME
    sandbox = Sandbox(2000, faults={fault: 1})
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        with pytest.raises(kind):
            await burki.contacts(42)
    assert sandbox.requests == 1


async def test_outage_can_be_simulated() -> None:
    """An outage of a minute costs the pull a minute and no contact."""
    sandbox = Sandbox(2000, latency=0.1)
    loop = asyncio.get_running_loop()
    loop.call_later(0.5, setattr, sandbox, "is_down", True)
    loop.call_later(60.5, setattr, sandbox, "is_down", False)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        contacts = await burki.contacts(42, per_page=10)
    assert len(contacts) == 2000
    assert 60 <= contacts.report.elapsed <= 75


async def test_listener_can_change_the_list() -> None:
    """Contacts that `on_event` adds to the sandbox are delivered by the same pull."""
    sandbox = Sandbox(1000)

    def add_contacts(event: object) -> None:
        if isinstance(event, PageFetched) and event.page == 2:
            sandbox.add(5)

    async with BurkiClient(KEY, transport=sandbox.transport, on_event=add_contacts) as burki:
        contacts = await burki.contacts(42, per_page=100)
    assert len(contacts) == 1005
    assert not contacts.report.consistent


async def test_faults_depend_on_seed_and_not_on_timing() -> None:
    """The same attempts at the same pages fail, whatever the concurrency."""

    async def failures(concurrency: int) -> list[tuple[int, int]]:
        sandbox = Sandbox(2000, faults=0.3, seed=7)
        seen: list[tuple[int, int]] = []

        def record(event: Any) -> None:
            if type(event).__name__ == "PageFetched":
                seen.append((event.page, event.attempts))

        async with BurkiClient(
            KEY, transport=sandbox.transport, attempts=50, concurrency=concurrency, on_event=record
        ) as burki:
            await burki.contacts(42, per_page=50)
        return sorted(seen)

    assert await failures(1) == await failures(16)


async def test_all_requests_may_fail() -> None:
    """The shares may add up to 1, with a rounding error."""
    Sandbox(1, faults=dict.fromkeys(FAULTS, 1 / len(FAULTS)))
    Sandbox(1, faults=1.0)


@pytest.mark.parametrize("faults", [None, 0, 0.0, {}, {"503": 0}])
async def test_no_faults(faults: Any) -> None:
    """Without faults no request fails."""
    sandbox = Sandbox(1000, faults=faults)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        assert (await burki.contacts(42, per_page=10)).report.requests == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contacts": -1}, "contacts"),
        ({"campaign_id": 0}, "campaign_id"),
        ({"seed": "x"}, "seed"),
        ({"latency": -1}, "latency"),
        ({"rate": 0}, "rate"),
        ({"faults": 1.1}, "faults must be shares from 0 to 1 in all, not 1.1"),
        ({"faults": True}, "faults"),
        ({"faults": "503"}, "faults"),
        ({"faults": {"503": 0.6, "500": 0.6}}, "faults"),
        ({"faults": {"418": 0.1}}, "faults may name connect, .*, not '418'"),
    ],
)
async def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    """An invalid argument is named in the error."""
    with pytest.raises(ConfigurationError, match=message):
        Sandbox(**arguments)
