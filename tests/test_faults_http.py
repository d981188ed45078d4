"""Pulls through HTTP statuses, redirects and error bodies, checked by the events on the wire."""

from __future__ import annotations

import asyncio
import itertools
import json
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from faults import TOTAL, FaultServer, Steps, page_body, respond, response_head, send_raw
from pages import KEY, page

from aioburki import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BurkiClient,
    BurkiError,
    ContactList,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
    UnexpectedResponseError,
    UnprocessableError,
)

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

HTML = b"<!DOCTYPE html><html><body>canary challenge</body></html>"
CAPTIVE_PORTAL = respond(200, HTML, content_type="text/html")


async def pull(url: str, **settings: Any) -> ContactList:
    """Pull the two pages one after the other."""
    settings = {"concurrency": 1, "timeout": 5, "attempts": 3, "complete": True} | settings
    complete = settings.pop("complete")
    async with BurkiClient(KEY, base_url=url, **settings) as burki:
        return await burki.contacts(42, per_page=10, complete=complete)


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, *range(520, 531)])
async def test_transient_statuses_are_retried_on_the_same_connection(
    faults: FaultServer, status: int
) -> None:
    """A transient status costs one more request, and each contact is delivered once."""
    is_html = status % 2 == 0
    response = respond(status, HTML, content_type="text/html") if is_html else respond(status)
    faults.listen({2: [response]})
    contacts = await pull(faults.url)
    assert [contact.id for contact in contacts] == list(range(1, TOTAL + 1))
    assert faults.events == ["connect", "GET 1", "200", "GET 2", str(status), "GET 2", "200"]
    assert (contacts.report.requests, contacts.report.retries) == (3, 1)


@pytest.mark.parametrize(
    ("status", "response", "kind"),
    [
        (400, respond(400, b'{"detail": "Invalid status"}'), BadRequestError),
        (401, respond(401, b'{"detail": "Invalid API key"}'), AuthenticationError),
        (403, respond(403), PermissionDeniedError),
        (403, respond(403, HTML, content_type="text/html"), UnexpectedResponseError),
        (404, respond(404, HTML, content_type="text/html"), UnexpectedResponseError),
        (409, respond(409), APIError),
        (418, respond(418), APIError),
        (422, respond(422), UnprocessableError),
        (451, respond(451), APIError),
        (501, respond(501), ServerError),
        (505, respond(505), ServerError),
        (599, respond(599), ServerError),
        (600, respond(600), UnexpectedResponseError),
        (999, respond(999), UnexpectedResponseError),
        (203, respond(203, page_body(2)), UnexpectedResponseError),
        (204, send_raw("204", response_head(204), then="continue"), UnexpectedResponseError),
        (206, respond(206, page_body(2)), UnexpectedResponseError),
        (200, CAPTIVE_PORTAL, UnexpectedResponseError),
        (200, respond(200, b'{"contacts": []}'), ResponseDecodeError),
        (200, respond(200, b"[" * 100_000 + b"]" * 100_000), ResponseDecodeError),
        (304, send_raw("304", response_head(304), then="continue"), UnexpectedResponseError),
    ],
    ids=str,
)  # fmt: skip
async def test_other_responses_end_the_pull_at_once(
    faults: FaultServer, status: int, response: Steps, kind: type[BurkiError]
) -> None:
    """After one attempt an error of the expected class names the page and quotes no HTML."""
    faults.listen({2: [response]})
    with pytest.raises(kind) as caught:
        await pull(faults.url)
    assert type(caught.value) is kind
    assert getattr(caught.value, "status_code", 200) == status
    assert (caught.value.page, caught.value.attempts) == (2, 1)
    assert "canary" not in str(caught.value)
    assert faults.events == ["connect", "GET 1", "200", "GET 2", str(status)]


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """Listen on a port, and fail a test that connects to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening
        assert select.select([listening], [], [], 0.05)[0] == []


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    faults: FaultServer, target: socket.socket, status: int
) -> None:
    """No redirect is followed, whatever its Location, and nothing connects to its target."""
    faults.listen()
    elsewhere = f"http://127.0.0.1:{target.getsockname()[1]}/canary?page=7"
    for location in (elsewhere, elsewhere[5:], f"{faults.url}/other?page=7", "?page=7", "", None):
        headers = {} if location is None else {"location": location}
        faults.listen({2: [respond(status, b"", **headers)]})
        with pytest.raises(UnexpectedResponseError, match="redirect") as caught:
            await pull(faults.url)
        assert (caught.value.status_code, caught.value.attempts) == (status, 1)
        assert "canary" not in str(caught.value)
        assert faults.events == ["connect", "GET 1", "200", "GET 2", str(status)]


async def test_redirect_loop_costs_one_request(faults: FaultServer) -> None:
    """A redirect to the same URL is requested once."""
    faults.listen()
    path = "/api/v1/campaigns/42/contacts?page=1&per_page=10"
    faults.listen({1: [respond(302, b"", location=path)] * 5})
    with pytest.raises(UnexpectedResponseError):
        await pull(faults.url)
    assert faults.events == ["connect", "GET 1", "302"]


async def test_key_revoked_during_a_pull_stops_all_requests(faults: FaultServer) -> None:
    """After the first 401 no further request is sent, and the error is raised at once."""
    faults.listen({7: [respond(401)]}, total=500, latency=0.02)
    async with BurkiClient(KEY, base_url=faults.url) as burki:
        with pytest.raises(AuthenticationError) as caught:
            await burki.contacts(42, per_page=1)
        start = time.monotonic()
        await burki.aclose()
        assert time.monotonic() - start < 0.1
    assert caught.value.page == 7
    sent = len(faults.state()["heads"])
    assert sent <= 7 + 2 * 8  # with those in flight, and those sent before the 401 arrived
    await asyncio.sleep(0.1)
    assert len(faults.state()["heads"]) == sent


async def test_404_on_an_announced_page_of_a_plain_pull_raises(faults: FaultServer) -> None:
    """A 404 raises after the contacts before it, if page 1 says that the page is there."""
    faults.listen({3: [respond(404), respond(404)]}, total=100)
    got = []
    async with BurkiClient(KEY, base_url=faults.url, concurrency=1) as burki:
        with pytest.raises(NotFoundError, match="page 3"):
            async for contact in burki.contacts(42, per_page=10, complete=False):
                got.append(contact.id)
    assert got == list(range(1, 21))
    sent = [event for event in faults.events if event.startswith("GET")]
    assert sent[:3] == ["GET 1", "GET 2", "GET 3"]
    assert (sent.count("GET 1"), sent.count("GET 3")) == (2, 2)


async def test_campaign_that_is_deleted_during_a_pull_raises() -> None:
    """If page 1 is 404 as well, NotFoundError is raised after the contacts that had come."""
    requests: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.params["page"])
        if len(requests) > 2:
            return httpx.Response(404, json={"detail": "Campaign not found"})
        return httpx.Response(200, json=page(int(request.url.params["page"]), 10, range(100)))

    got = []
    transport = httpx.MockTransport(serve)
    async with BurkiClient(KEY, transport=transport, concurrency=1) as burki:
        with pytest.raises(NotFoundError, match=r"Campaign not found .*page 1,"):
            async for contact in burki.contacts(42, per_page=10):
                got.append(contact.id)
    assert got == list(range(20))
    assert len(requests) < 20


async def test_problems_of_a_422_omit_the_input(faults: FaultServer) -> None:
    """Problems of a 422 keep their place, text and type, without input, ctx and url."""
    problem = {
        "loc": ["query", "per_page"], "msg": "too much", "type": "less_than_equal",
        "input": "canary", "ctx": {"le": "canary"}, "url": "https://canary.example",
    }  # fmt: skip
    faults.listen({2: [respond(422, json.dumps({"detail": [problem]}).encode())]})
    with pytest.raises(UnprocessableError) as caught:
        await pull(faults.url)
    assert "too much" in str(caught.value.problems)
    assert "canary" not in f"{caught.value} {caught.value.problems} {caught.value.detail}"


@pytest.mark.parametrize(
    "value",
    ["0", "-5", "abc", "", "inf", "nan", "1, 2", "\xb2", "1.5 s",
     "Mon, 01 Jan 2001 00:00:00 GMT", "Mon, 01 Jan 100000 00:00:00 GMT"],
)  # fmt: skip
async def test_unusable_retry_after_is_ignored(faults: FaultServer, value: str) -> None:
    """A Retry-After that cannot be used is replaced by the usual back-off."""
    faults.listen({2: [respond(503, retry_after=value)]})
    contacts = await pull(faults.url)
    assert len(contacts) == TOTAL
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "503", "GET 2", "200"]
    assert contacts.report.waited <= 0.2


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_respected(faults: FaultServer, status: int) -> None:
    """No request is sent before the Retry-After of a 429 or 503 has passed."""
    faults.listen({2: [respond(status, retry_after="0.6")] * 2})
    start = time.monotonic()
    contacts = await pull(faults.url)
    assert time.monotonic() - start >= 1.2
    assert len(contacts) == TOTAL
    again = ["GET 2", str(status)]
    assert faults.events == ["connect", "GET 1", "200", *again, *again, "GET 2", "200"]
    assert contacts.report.rate_limited == (2 if status == 429 else 0)


async def test_retry_after_beyond_max_wait_raises_at_once(faults: FaultServer) -> None:
    """A Retry-After longer than `max_wait` raises RateLimitError without a wait."""
    faults.listen({2: [respond(429, retry_after="1000000")]})
    start = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        await pull(faults.url)
    assert time.monotonic() - start < 1
    assert caught.value.retry_after == 1_000_000
    assert faults.events == ["connect", "GET 1", "200", "GET 2", "429"]


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"no JSON", b"{", b'{"detail": 7}', b'{"detail": null}', b"[]", b"null",
        b"\xff\xfe\x00", b"[" * 50_000, b'{"detail": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
        b'{"detail": "' + b"x" * 10_000_000 + b'"}', b'{"detail": "' + b"x" * 5_000 + b'"}',
        b'{"detail": "\\u001b[31mred\\u0000\\u202e"}', KEY.encode(),
        json.dumps({"detail": f"Bearer {KEY} is unknown"}).encode(),
    ],
    ids=lambda payload: payload[:20],
)  # fmt: skip
async def test_error_body_does_not_change_the_error_class(
    faults: FaultServer, payload: bytes
) -> None:
    """The status decides the class; the detail is short, printable and never shows the key."""
    faults.listen({1: [respond(400, payload)]})
    with pytest.raises(BadRequestError) as caught:
        await pull(faults.url)
    text = str(caught.value)
    assert len(text) < 1_000
    assert KEY not in text
    assert text.isprintable()
    assert faults.events == ["connect", "GET 1", "400"]


async def test_wall_clock_may_jump(faults: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wall clock jumps of an hour or more change no wait, no deadline and no report."""
    wall, jumps = time.time, itertools.cycle((3600.0, -3600.0, 7200.0, 0.0))
    monkeypatch.setattr(time, "time", lambda: wall() + next(jumps))
    faults.listen({2: [respond(503)], 3: [respond(503, retry_after="0.3")]}, total=30)
    start = time.monotonic()
    contacts = await pull(faults.url)
    took = time.monotonic() - start
    assert 0.3 <= took < 2
    assert contacts.report.elapsed == pytest.approx(took, abs=0.5)
    assert len(contacts) == 30
