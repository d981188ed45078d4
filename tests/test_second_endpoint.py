"""A second endpoint is one new file: an endpoint defined here goes through the whole engine."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from operator import attrgetter
from typing import Any

import attrs
import httpx
import pytest
from pages import KEY

from aioburki import BurkiClient, NotFoundError, PageFetched, PullReport, ResponseDecodeError
from aioburki._decoding import PageDecoder
from aioburki._endpoint import Endpoint, ListQuery
from aioburki._list_reader import ListReader

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]


# All that is particular to GET /campaigns/{id}/executions.
@attrs.frozen
class Execution:
    """One run of a campaign."""

    id: int
    state: str
    started_at: datetime | None = None


EXECUTIONS = Endpoint(
    path="/api/v1/campaigns/{campaign_id}/executions",
    noun="execution",
    decoder=PageDecoder("executions", Execution),
    key=attrgetter("id"),
)


def executions_of(burki: BurkiClient, campaign_id: int, per_page: int) -> ListReader[Execution]:
    return ListReader(
        ListQuery(EXECUTIONS, campaign_id), per_page, None, True, burki._fetcher, burki._running
    )


async def pull(burki: BurkiClient, per_page: int = 10) -> tuple[list[Execution], PullReport]:
    started = executions_of(burki, 7, per_page).start()
    executions: list[Execution] = []
    async with aclosing(started.pull) as pages:
        while (page := await pages.next_page()) is not None:
            executions.extend(page.items)
    return executions, started.report()


class Server:
    """Answer with executions; page 2 fails once, and what `change` returns is merged into items."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.change: dict[str, Any] = {}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        if request.url.path != "/api/v1/campaigns/7/executions":
            return httpx.Response(404, json={"detail": "Campaign not found"})
        page, per_page = (int(request.url.params[name]) for name in ("page", "per_page"))
        if page == 2 and self.asked.count(self.asked[-1]) == 1:
            return httpx.Response(503)
        ids = range(self.total, 0, -1)[(page - 1) * per_page : page * per_page]
        total_pages = -(-self.total // per_page)
        pagination = {
            "page": page, "per_page": per_page, "total_items": self.total,
            "total_pages": total_pages, "has_next": page < total_pages, "has_prev": page > 1,
        }  # fmt: skip
        items = [
            {"id": number, "state": "done", "started_at": None, "new": []} | self.change
            for number in ids
        ]
        return httpx.Response(200, json={"executions": items, "pagination": pagination})


async def test_second_endpoint_is_pulled_whole() -> None:
    """Its items come in order, through retries, with a report and events."""
    server = Server(35)
    events: list[object] = []
    async with BurkiClient(
        KEY, transport=httpx.MockTransport(server), on_event=events.append
    ) as burki:
        executions, report = await pull(burki)
        assert await executions_of(burki, 7, 10).count() == 35
    assert [execution.id for execution in executions] == list(range(35, 0, -1))
    assert executions[0] == Execution(35, "done")
    assert (report.contacts, report.pages, report.requests, report.retries) == (35, 4, 6, 1)
    assert report.complete
    assert report.probes == 1  # page 1 once more, because ids fall
    assert report.consistent
    assert server.asked[0] == "/api/v1/campaigns/7/executions?page=1&per_page=10"
    assert sum(isinstance(event, PageFetched) for event in events) == 5  # count() is no pull


async def test_second_endpoint_has_the_same_errors() -> None:
    """Its errors name the campaign, the page and the place, in its own noun."""
    server = Server(5)
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        with pytest.raises(NotFoundError, match=r"Campaign not found \(campaign 8, page 1"):
            await executions_of(burki, 8, 10).page(1)
        server.change = {"state": 4, "started_at": "yesterday"}
        with pytest.raises(ResponseDecodeError, match="not a page of executions") as caught:
            await pull(burki)
    assert caught.value.problems[:2] == (
        "executions[0].state: expected text, got a whole number",
        "executions[0].started_at: not an ISO 8601 date and time",
    )


async def test_second_endpoint_reports_what_moved(caplog: pytest.LogCaptureFixture) -> None:
    """Its repeats are left out, and what moved is told in its own noun."""
    server = Server(5)
    server.change = {"id": 3}
    async with BurkiClient(KEY, transport=httpx.MockTransport(server)) as burki:
        executions, report = await pull(burki)
    assert [execution.id for execution in executions] == [3]
    assert report.duplicates == 4
    assert "1 execution was received, the server counted 5" in report.drift
    assert "campaign 7 moved while it was read" in caplog.text
