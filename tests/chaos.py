"""Pulls with seeded faults: one attempt in five fails, with any of the known faults.

Run it with ``python tests/chaos.py --pulls 10000``. Each pull has its own seed, which decides
the list, how the list changes, the query, how the contacts are read, and the fault of each
attempt at each page; so the expected result is known before the pull starts. Pulls run in
process on a virtual clock, which makes them deterministic, or with ``--sockets`` over real
connections to `fault_server.py`. For each seed that fails, the command that replays it is
printed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import logging
import random
import ssl
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing

import attrs
import httpx
from faults import CLOSE, RESET, STALL, FaultServer, Steps, json_response, respond, send_raw
from pages import KEY, body, contact
from virtual_clock import VirtualLoop
from wire import connection_pool_of

from aioburki import (
    APIError,
    AuthenticationError,
    BurkiClient,
    BurkiError,
    ConnectionFailedError,
    Contact,
    Contacts,
    ContactStatus,
    NotFoundError,
    PullReport,
    RateLimitError,
    RequestTimeoutError,
    ResponseDecodeError,
    ServerError,
    UnexpectedResponseError,
    UnprocessableError,
)

FAULT_SHARE = 0.2
DAY = 86_400.0  # seconds
WINDOW = 10_000  # more than any page number

MAX_CHANGES = 20  # a list of small pages could grow faster than it is read
STATUSES = [status.value for status in ContactStatus]
DATE = "Mon, 01 Jan 2024 00:00:0{} GMT"


class _Body(httpx.AsyncByteStream):
    """A body sent in pieces, with *pause* seconds after each, and *error* raised at its end."""

    def __init__(
        self, content: bytes, pause: float = 0.0, error: Exception | None = None, piece: int = 4096
    ) -> None:
        self.content, self.pause, self.error, self.piece = content, pause, error, piece
        self.is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.piece):
            yield self.content[start : start + self.piece]
            await asyncio.sleep(self.pause)
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.is_open = False


MakeResponse = Callable[[bytes], httpx.Response]


@attrs.frozen
class Fault:
    """One way in which an attempt fails.

    Attributes:
        error: the error of the pull if every attempt fails like this.
        make_response: makes the response in process, from the body of the page.
        make_steps: makes the steps of the fault server; None if it cannot do this.
        is_permanent: whether the pull fails at the first attempt, without a retry.
    """

    error: type[BurkiError]
    make_response: MakeResponse
    make_steps: Callable[[bytes], Steps] | None = None
    is_permanent: bool = False


def _raising(error: Exception) -> MakeResponse:
    def make_response(_: bytes) -> httpx.Response:
        raise error

    return make_response


def _responding(
    status: int, payload: bytes = b'{"detail": "busy"}', **headers: str
) -> MakeResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, headers=named, stream=_Body(payload))


def _changed_body(change: Callable[[bytes], bytes], **headers: str) -> Fault:
    """Return the fault of a complete response whose body went through *change*."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(
        ResponseDecodeError,
        lambda page: httpx.Response(200, headers=named, stream=_Body(change(page))),
        lambda page: respond(200, change(page), **headers),
    )


def _body_cut(error: Exception, ending: str) -> Fault:
    """Return the fault of a connection that ends before the body is complete."""
    return Fault(
        ConnectionFailedError,
        lambda page: httpx.Response(200, stream=_Body(page[: len(page) // 2], error=error)),
        lambda page: send_raw("cut", json_response(page)[:-5], then=ending),
    )


def _status(status: int, kind: type[BurkiError], *, is_permanent: bool = False) -> Fault:
    return Fault(kind, _responding(status), lambda _: respond(status), is_permanent=is_permanent)


TRANSIENT: dict[str, Fault] = {
    "refused": Fault(ConnectionFailedError, _raising(httpx.ConnectError(""))),
    "connect timeout": Fault(RequestTimeoutError, _raising(httpx.ConnectTimeout(""))),
    "closed": Fault(
        ConnectionFailedError, _raising(httpx.RemoteProtocolError("")), lambda _: CLOSE
    ),
    "reset": Fault(ConnectionFailedError, _raising(httpx.ReadError("")), lambda _: RESET),
    "write error": Fault(ConnectionFailedError, _raising(httpx.WriteError(""))),
    "unwrapped reset": Fault(ConnectionFailedError, _raising(ConnectionResetError())),
    "unwrapped TLS error": Fault(ConnectionFailedError, _raising(ssl.SSLError("bad record"))),
    "banner": Fault(
        ConnectionFailedError,
        _raising(httpx.RemoteProtocolError("")),
        lambda _: send_raw("banner", "SSH-2.0-x\r\n"),
    ),
    "status line cut": Fault(
        ConnectionFailedError,
        _raising(httpx.RemoteProtocolError("")),
        lambda _: send_raw("cut", "HTTP/1.1 2"),
    ),
    "body cut": _body_cut(httpx.RemoteProtocolError(""), "close"),
    "body reset": _body_cut(httpx.ReadError(""), "reset"),
    "no response": Fault(RequestTimeoutError, _raising(httpx.ReadTimeout("")), lambda _: STALL),
    "body stalls": Fault(
        RequestTimeoutError,
        lambda page: httpx.Response(200, stream=_Body(page, pause=DAY)),
        lambda page: send_raw("stall", json_response(page)[:-5], then="stall"),
    ),
    "body drips": Fault(
        RequestTimeoutError,
        lambda page: httpx.Response(200, stream=_Body(page, pause=1.0, piece=1)),
        lambda page: [
            ["note", "drip"],
            ["send", json_response(page)[:-60]],
            ["drip", " " * 60, 0.05],
        ],
    ),
    "empty": _changed_body(lambda _: b""),
    "half the JSON": _changed_body(lambda page: page[: len(page) // 2]),
    "one byte missing": _changed_body(lambda page: page[:-1]),
    "gzip cut": _changed_body(lambda page: gzip.compress(page)[:-9], content_encoding="gzip"),
    "plain body declared as gzip": _changed_body(lambda page: page, content_encoding="gzip"),
    "408": _status(408, APIError),
    "425": _status(425, APIError),
    **{
        str(status): _status(status, ServerError)
        for status in (500, 502, 503, 504, 520, 522, 524, 530)
    },
    "503 with Retry-After": Fault(
        ServerError,
        _responding(503, retry_after="1.5"),
        lambda _: respond(503, retry_after="0.05"),
    ),
}
RATE_LIMITED: dict[str, Fault] = {
    "429": Fault(RateLimitError, _responding(429)),
    "429 with Retry-After": Fault(
        RateLimitError,
        _responding(429, retry_after="2"),
        lambda _: respond(429, retry_after="0.05"),
    ),
    "429 with a date": Fault(
        RateLimitError, _responding(429, date=DATE.format(1), retry_after=DATE.format(4))
    ),
}
PERMANENT: dict[str, Fault] = {
    "401": _status(401, AuthenticationError, is_permanent=True),
    "404": _status(404, NotFoundError, is_permanent=True),
    "422": _status(422, UnprocessableError, is_permanent=True),
    "301": _status(301, UnexpectedResponseError, is_permanent=True),
    "HTML": Fault(
        UnexpectedResponseError,
        _responding(403, b"<html></html>"),
        lambda _: respond(403, b"<html></html>"),
        is_permanent=True,
    ),
    "unrequested encoding": Fault(
        UnexpectedResponseError,
        _responding(200, b"x", content_encoding="br"),
        lambda _: respond(200, b"x", content_encoding="br"),
        is_permanent=True,
    ),
    "not a page": Fault(
        ResponseDecodeError,
        _responding(200, b"{}"),
        lambda _: respond(200, b"{}"),
        is_permanent=True,
    ),
}
FAULTS: dict[str, Fault] = TRANSIENT | RATE_LIMITED | PERMANENT


@attrs.frozen
class Scenario:
    """The query, list, faults and ending of one pull, all drawn from its seed."""

    seed: int
    on_sockets: bool
    total: int
    per_page: int
    concurrency: int
    attempts: int
    limit: int | None
    status: str | None
    way: str
    ending: str
    end_after: float
    changes: str
    has_permanent: bool
    complete: bool = False

    @classmethod
    def from_seed(cls, seed: int, *, on_sockets: bool, complete: bool = False) -> Scenario:
        draw = random.Random(f"scenario {seed}")
        per_page = draw.choice([1, 2, 7, 10, 25, 50])
        max_pages = 10 if on_sockets else 40
        total = draw.randrange(0, per_page * draw.randrange(1, max_pages) + 2)
        ways = ["await", "iterate", "pages", "stream"]
        endings = ["complete"] * 6 + ["break", "deadline", "cancel"]
        return cls(
            seed=seed,
            on_sockets=on_sockets,
            total=total,
            per_page=per_page,
            concurrency=draw.choice([1, 2, 4, 8, 16]),
            attempts=draw.choice([1, 2, 3, 6, 6, 6]),
            limit=draw.choice([None, None, None, draw.randrange(0, total + 20)]),
            status=draw.choice([None, None, None, draw.choice(STATUSES)]),
            way=draw.choice(ways),
            ending=draw.choice(endings),
            end_after=draw.random(),
            changes=draw.choice(
                ["none"] if on_sockets else ["none", "none", "grows", "shrinks", "churns"]
            ),
            has_permanent=draw.random() < 0.05,
            complete=complete,
        )

    def fault(self, page: int, attempt: int) -> str | None:
        """Return the name of the fault of this attempt (from 1) at a page, or None."""
        draw = random.Random(f"{self.seed} {page} {attempt}")
        if self.has_permanent and draw.random() < 0.02:
            # A page that is 404 once may be there again, if it is not page 1.
            may_be_404 = self.complete or page == 1
            return draw.choice([name for name in PERMANENT if name != "404" or may_be_404])
        if draw.random() >= FAULT_SHARE:
            return None
        names = [
            name
            for name, fault in (TRANSIENT | RATE_LIMITED).items()
            if fault.make_steps is not None or not self.on_sockets
            # A 503 between successes may be a limit, and then it is no attempt.
            if self.complete or not name.startswith("503")
        ]
        return draw.choice(names)

    def latency(self, page: int, attempt: int) -> float:
        """Return the seconds before the response to this attempt at a page."""
        return random.Random(f"latency {self.seed} {page} {attempt}").random() * 0.3

    def rows(self) -> list[tuple[int, str]]:
        """Return the ids and statuses of the initial list, in the order of this scenario."""
        draw = random.Random(f"rows {self.seed}")
        ids = list(range(1, self.total + 1))
        order = draw.choice(["ascending", "descending", "random"])
        if order == "descending":
            ids.reverse()
        if order == "random":
            draw.shuffle(ids)
        return [(number, STATUSES[draw.randrange(8)]) for number in ids]

    def outcome_of(self, page: int, first: int = 1) -> tuple[int, str | None]:
        """Return the number of attempts at a page, and the fault that makes the pull fail or None.

        *first* is the first of these attempts.
        """
        failures, attempt = 0, first
        while True:
            name = self.fault(page, attempt)
            if name is None:
                return attempt - first + 1, None
            failures += name not in RATE_LIMITED
            if FAULTS[name].is_permanent or (
                name not in RATE_LIMITED and failures >= self.attempts
            ):
                return attempt - first + 1, name
            attempt += 1


class Server:
    """The list and how it changes, and the history of requests and responses."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rows = scenario.rows()
        self.requests: Counter[int] = Counter()
        self.sent: dict[int, list[tuple[list[int], int, int]]] = defaultdict(list)
        self.in_flight: set[int] = set()
        self.problems: list[str] = []
        self.history: list[str] = []
        self.bodies: list[_Body] = []
        self.changes = 0
        self._draw = random.Random(f"moves {scenario.seed}")
        self._next_id = 1_000_000

    def page(self, number: int, per_page: int) -> tuple[list[int], int, bytes]:
        """Return the ids on a page, the number of contacts in total, and the JSON body."""
        rows = self._selected()
        pages = -(-len(rows) // per_page)
        on_page = rows[(number - 1) * per_page : number * per_page]
        content = {
            "contacts": [contact(contact_id, status=status) for contact_id, status in on_page],
            "pagination": {
                "page": number, "per_page": per_page, "total_items": len(rows),
                "total_pages": pages, "has_next": number < pages, "has_prev": number > 1,
            },
        }  # fmt: skip
        return [row[0] for row in on_page], len(rows), body(content)

    def ids(self) -> list[int]:
        """Return the ids that the query selects from the current list."""
        return [row[0] for row in self._selected()]

    def _selected(self) -> list[tuple[int, str]]:
        status = self.scenario.status
        return [row for row in self.rows if status is None or row[1] == status]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Return the response to *request*, in process."""
        page, per_page = (int(request.url.params[name]) for name in ("page", "per_page"))
        # The windows of a complete pull have any size; each has faults of its own.
        number = page + WINDOW * per_page if self.scenario.complete else page
        self.requests[number] += 1
        attempt = self.requests[number]
        self._record(f"GET {number}")
        if number in self.in_flight and not self.scenario.complete:
            self.problems.append(f"page {number} was requested twice at the same time")
        self.in_flight.add(number)
        try:
            await asyncio.sleep(self.scenario.latency(number, attempt))
            return self._respond(number, attempt, per_page)
        finally:
            self.in_flight.discard(number)

    def _respond(self, number: int, attempt: int, per_page: int) -> httpx.Response:
        self._change_list()
        ids, total, content = self.page(number % WINDOW, per_page)
        name = self.scenario.fault(number, attempt)
        self._record(f"{number}: {name}")
        if name is not None:
            response = FAULTS[name].make_response(content)
        else:
            self.sent[number].append((ids, total, -(-total // per_page)))
            response = httpx.Response(200, stream=_Body(content))
        assert isinstance(response.stream, _Body)
        self.bodies.append(response.stream)
        return response

    def _change_list(self) -> None:
        draw = self._draw
        if self.scenario.changes == "none" or self.changes == MAX_CHANGES or draw.random() < 0.7:
            return
        self.changes += 1
        if self.scenario.changes in ("grows", "churns"):
            place = len(self.rows) if self.scenario.changes == "grows" else None
            for _ in range(draw.randrange(1, 8)):
                self._next_id += 1
                row = (self._next_id, STATUSES[draw.randrange(8)])
                at = draw.randrange(len(self.rows) + 1) if place is None else len(self.rows)
                self.rows.insert(at, row)
        if self.scenario.changes in ("shrinks", "churns"):
            for _ in range(min(len(self.rows), draw.randrange(1, 8))):
                self.rows.pop(draw.randrange(len(self.rows)))

    def _record(self, event: str) -> None:
        self.history.append(f"{asyncio.get_running_loop().time():.6f} {event}")


class Transport(httpx.AsyncBaseTransport):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._server.handle(request)


@attrs.define
class Outcome:
    """The result of a pull."""

    delivered: list[int] = attrs.field(factory=list)
    error: BaseException | None = None
    report: PullReport | None = None
    was_left_early: bool = False


async def read(scenario: Scenario, contacts: Contacts, outcome: Outcome) -> None:
    """Read *contacts* as the scenario says; break out of the loop if that is its ending."""
    stop_at = int(scenario.end_after * (scenario.total + 1)) if scenario.ending == "break" else None

    def must_stop(new: list[Contact] | tuple[Contact, ...]) -> bool:
        outcome.delivered += [each.id for each in new]
        outcome.was_left_early = stop_at is not None and len(outcome.delivered) >= stop_at
        return outcome.was_left_early

    match scenario.way:
        case "await":
            result = await contacts
            outcome.report = result.report
            outcome.delivered = [each.id for each in result]
        case "iterate":
            async for each in contacts:
                if must_stop([each]):
                    break
        case "pages":
            async with aclosing(contacts.pages()) as pages:
                async for page in pages:
                    if must_stop(page.contacts):
                        break
        case "stream":
            async with contacts.stream() as stream:
                async for each in stream:
                    if must_stop([each]):
                        break
            outcome.report = stream.report


async def run_to_ending(scenario: Scenario, contacts: Contacts, outcome: Outcome) -> None:
    """Run the pull until it completes, or until the scenario ends it."""
    seconds = scenario.end_after * (0.3 if scenario.on_sockets else 2.0)
    pull = read(scenario, contacts, outcome)
    try:
        if scenario.ending == "deadline":
            async with asyncio.timeout(seconds):
                await pull
        elif scenario.ending == "cancel":
            task = asyncio.create_task(pull)
            await asyncio.wait((task,), timeout=seconds)
            task.cancel()
            await task
        else:
            await pull
    except (BurkiError, TimeoutError, asyncio.CancelledError) as error:
        outcome.error = error


def expected_pages(scenario: Scenario) -> list[int]:
    """Return the pages that a pull of an unchanging list must request."""
    if scenario.limit == 0:
        return []
    needed = len(expected_ids(scenario))
    return list(range(1, max(1, -(-needed // scenario.per_page)) + 1))


def expected_ids(scenario: Scenario) -> list[int]:
    """Return the ids that a pull of an unchanging list must deliver."""
    ids = [
        number
        for number, status in scenario.rows()
        if scenario.status is None or status == scenario.status
    ]
    return ids[: scenario.limit]


def problems_by_seed(
    scenario: Scenario, outcome: Outcome, requests: Mapping[int, int]
) -> list[str]:
    """Return what is wrong with a pull of an unchanging list, compared with what the seed says.

    *requests* holds the number of requests for each page.
    """
    wrong: list[str] = []
    ids, pages = expected_ids(scenario), expected_pages(scenario)
    if outcome.delivered != ids[: len(outcome.delivered)]:
        wrong.append("contacts are lost, doubled or out of order")
    if surplus := set(requests) - set(pages):
        wrong.append(f"unneeded pages were requested: {sorted(surplus)}")
    plan = {page: scenario.outcome_of(page) for page in pages}
    for page in requests:
        if page in plan and requests[page] > plan[page][0]:
            wrong.append(f"page {page} was requested {requests[page]} times, not {plan[page][0]}")
    failing = {page: (tries, name) for page, (tries, name) in plan.items() if name is not None}
    error = outcome.error
    if outcome.was_left_early or _is_planned_ending(scenario, error):
        return wrong
    if failing:
        return wrong + _error_problems(error, failing)
    if error is not None:
        return [*wrong, f"the pull should have succeeded, but raised {error!r}"]
    if outcome.delivered != ids:
        wrong.append(f"{len(outcome.delivered)} of {len(ids)} contacts were delivered")
    if dict(requests) != {page: tries for page, (tries, _) in plan.items()}:
        wrong.append("the number of requests for each page is wrong")
    if outcome.report is not None:
        wrong += _report_problems(scenario, outcome.report, plan, len(ids))
    return wrong


def _is_planned_ending(scenario: Scenario, error: BaseException | None) -> bool:
    """Return whether *error* comes from the deadline or cancellation of the scenario."""
    if scenario.ending == "deadline":
        return type(error) is TimeoutError
    return scenario.ending == "cancel" and type(error) is asyncio.CancelledError


def _error_problems(
    error: BaseException | None, failing: Mapping[int, tuple[int, str | None]]
) -> list[str]:
    """Return what is wrong with the error of a pull in which the *failing* pages must fail."""
    if not isinstance(error, BurkiError) or error.page is None or error.page not in failing:
        return [f"the pull should have failed at one of the pages {sorted(failing)}, not {error!r}"]
    tries, name = failing[error.page]
    assert name is not None
    kind = FAULTS[name].error
    if type(error) is not kind or error.attempts != tries:
        return [f"the error should be {kind.__name__} after {tries} attempts, not {error!r}"]
    if error.__cause__ is not None or error.__context__ is not None:
        return ["another exception is chained to the error"]
    return []


def _report_problems(
    scenario: Scenario,
    report: PullReport,
    plan: Mapping[int, tuple[int, str | None]],
    delivered: int,
) -> list[str]:
    names = [scenario.fault(page, n) for page, (tries, _) in plan.items() for n in range(1, tries)]
    rate_limited = sum(name in RATE_LIMITED for name in names)
    figures = (report.contacts, report.pages, report.requests, report.retries, report.rate_limited)
    retries = len(names) - rate_limited
    right = (delivered, len(plan), len(names) + len(plan), retries, rate_limited)
    wrong = [] if figures == right else [f"the report says {figures}, not {right}"]
    if report.duplicates or not report.consistent:
        wrong.append(f"the list did not change, but the report says: {report.drift}")
    return wrong


def problems_by_history(scenario: Scenario, outcome: Outcome, server: Server) -> list[str]:
    """Return what is wrong with a pull, compared with the responses that the server sent."""
    responses = [response for page in sorted(server.sent) for response in server.sent[page]]
    sent = list(dict.fromkeys(number for ids, _, _ in responses for number in ids))
    wrong = _repeats(outcome, sent)
    failing = _failing(scenario, server.requests)
    error = outcome.error
    if outcome.was_left_early or _is_planned_ending(scenario, error):
        return wrong
    if failing:
        return wrong + _error_problems(error, failing)
    if error is not None:
        return [*wrong, f"the pull should have succeeded, but raised {error!r}"]
    # A page that is read a second time, because the list has become shorter, comes last.
    first = dict.fromkeys(n for page in sorted(server.sent) for n in server.sent[page][0][0])
    in_order = [number for number in outcome.delivered if number in first]
    is_whole = len(outcome.delivered) == len(sent[: scenario.limit])
    if not is_whole or in_order != list(first)[: len(in_order)]:
        wrong.append("the delivered contacts are not the ones that the server sent")
    if scenario.limit is None:
        last = max((pages for _, _, pages in responses), default=1)
        if missing := set(range(1, max(1, last) + 1)) - set(server.sent):
            wrong.append(f"the pull ended without the pages {sorted(missing)}")
        totals = {total for _, total, _ in responses}
        if len(totals) > 1 and outcome.report is not None and outcome.report.consistent:
            wrong.append("the list changed, but the report does not say so")
    if scenario.changes == "grows":
        last_total = max((total for _, total, _ in responses), default=0)
        if outcome.delivered != server.ids()[:last_total][: scenario.limit]:
            wrong.append("a contact is missing that the total of some page includes")
    return wrong


def _repeats(outcome: Outcome, sent: Collection[int]) -> list[str]:
    wrong: list[str] = []
    if len(set(outcome.delivered)) != len(outcome.delivered):
        wrong.append("a contact was delivered twice")
    if not set(outcome.delivered) <= set(sent):
        wrong.append("a contact was delivered that the server never sent")
    return wrong


def _failing(
    scenario: Scenario, requests_by_page: Mapping[int, int]
) -> dict[int, tuple[int, str | None]]:
    """Return the pages whose requests have failed for good: after how many, and by which fault."""
    failing: dict[int, tuple[int, str | None]] = {}
    for page, requests in requests_by_page.items():
        first, name = 1, None
        while first <= requests:
            tries, name = scenario.outcome_of(page, first)
            if first + tries - 1 <= requests and name is not None:
                failing[page] = (tries, name)
            first += tries
    return failing


def problems_of_claim(scenario: Scenario, outcome: Outcome, server: Server) -> list[str]:
    """Return what is wrong with a complete pull: what it delivered, and what it claims."""
    sent = {number for page in server.sent.values() for ids, _, _ in page for number in ids}
    wrong, error = _repeats(outcome, sent), outcome.error
    failing = _failing(scenario, server.requests)
    if outcome.was_left_early or _is_planned_ending(scenario, error):
        return wrong
    kinds = {FAULTS[name].error for _, name in failing.values() if name is not None}
    if error is not None:
        return wrong if type(error) in kinds else [*wrong, f"no fault ends the pull: {error!r}"]
    lasting = set(expected_ids(scenario)) & set(server.ids())
    lost = lasting - set(outcome.delivered)
    if scenario.limit is not None and len(outcome.delivered) < min(scenario.limit, len(lasting)):
        wrong.append(f"{len(outcome.delivered)} contacts were delivered, fewer than the limit")
    if scenario.limit is not None:
        return wrong
    # A page that is not found is no failure where the list may have become shorter.
    if lost and scenario.changes == "none" and not failing:
        wrong.append(f"{len(lost)} contacts of a list that stood still are lost")
    report = outcome.report
    if report is not None and report.complete and lost:
        wrong.append(f"the pull claims to be complete, and {len(lost)} contacts are lost")
    ids = expected_ids(scenario)
    is_ordered = scenario.changes == "none" and sorted(ids) in (ids, ids[::-1])
    if report is not None and not failing and is_ordered and not report.complete:
        wrong.append(f"a list that stood still, in order, is not proved complete: {report}")
    return wrong


async def leftovers(server: Server | None = None) -> list[str]:
    """Return what a pull has left behind, after the few loop turns that a ``break`` needs."""
    for _ in range(20):
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    left = [f"a task is still running: {task.get_name()}" for task in tasks]
    if server is not None and any(each.is_open for each in server.bodies):
        left.append("a response was not closed")
    if server is not None and server.in_flight:
        left.append("a request is still in flight")
    return left


async def pull_in_process(scenario: Scenario) -> tuple[list[str], list[str]]:
    """Run one pull in process; return what is wrong, and the history with its times."""
    random.seed(scenario.seed)  # makes the client's jitter repeatable
    server, outcome = Server(scenario), Outcome()
    async with BurkiClient(
        KEY,
        transport=Transport(server),
        concurrency=scenario.concurrency,
        attempts=scenario.attempts,
        max_wait=DAY,
    ) as burki:
        contacts = burki.contacts(
            42,
            status=scenario.status,
            per_page=scenario.per_page,
            limit=scenario.limit,
            complete=scenario.complete,
        )
        await run_to_ending(scenario, contacts, outcome)
        wrong = await leftovers(server)
    if scenario.complete:
        wrong += problems_of_claim(scenario, outcome, server) + server.problems
        return wrong, [*server.history, repr(outcome)]
    if scenario.changes == "none":
        wrong += problems_by_seed(scenario, outcome, server.requests)
    wrong += problems_by_history(scenario, outcome, server) + server.problems
    return wrong, [*server.history, repr(outcome)]


async def pull_over_sockets(scenario: Scenario, faults: FaultServer) -> list[str]:
    """Run one pull over real connections; return what is wrong."""
    random.seed(scenario.seed)
    rows, outcome = Server(scenario), Outcome()
    pages = {number: rows.page(number, scenario.per_page)[2] for number in range(1, 40)}
    steps_by_page: dict[int | str, list[Steps]] = {}
    for number, content in pages.items():
        steps_by_page[number] = []
        for attempt in range(1, scenario.outcome_of(number)[0] + 1):
            name = scenario.fault(number, attempt)
            make_steps = None if name is None else FAULTS[name].make_steps
            success = [["note", "200"], ["send", json_response(content)]]
            steps_by_page[number].append(success if make_steps is None else make_steps(content))
    faults.listen(steps_by_page, latency=scenario.latency(0, 0) / 10)
    async with BurkiClient(
        KEY,
        base_url=faults.url,
        concurrency=scenario.concurrency,
        attempts=scenario.attempts,
        timeout=1,
    ) as burki:
        await connection_pool_of(burki)._tls_context()  # or the first attempt would load it
        contacts = burki.contacts(
            42,
            status=scenario.status,
            per_page=scenario.per_page,
            limit=scenario.limit,
            complete=scenario.complete,
        )
        await run_to_ending(scenario, contacts, outcome)
        wrong = await leftovers()
    if faults.connections_left():
        wrong.append("a connection is still open")
    requests = Counter(
        int(event.removeprefix("GET ")) for event in faults.events if event.startswith("GET ")
    )
    return wrong + problems_by_seed(scenario, outcome, requests)


def replay_command(seed: int, *, on_sockets: bool, complete: bool = False) -> str:
    """Return the command that runs the pull of *seed* again."""
    option = " --sockets" if on_sockets else " --complete" if complete else ""
    return f"{sys.executable} tests/chaos.py --pulls 1 --seed {seed}{option}"


def run_in_process(seed: int, *, complete: bool = False) -> tuple[list[str], list[str]]:
    """Run the pull of *seed* on its own virtual clock."""
    scenario = Scenario.from_seed(seed, on_sockets=False, complete=complete)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(pull_in_process(scenario))


def run_over_sockets(seed: int, faults: FaultServer) -> list[str]:
    """Run the pull of *seed* in a new event loop."""
    return asyncio.run(pull_over_sockets(Scenario.from_seed(seed, on_sockets=True), faults))


def failures(
    seeds: range, *, on_sockets: bool, faults: FaultServer | None = None, complete: bool = False
) -> dict[int, list[str]]:
    """Run a pull for each seed; return the problems of those that have any."""
    wrong: dict[int, list[str]] = {}
    for seed in seeds:
        if on_sockets:
            assert faults is not None
            found = run_over_sockets(seed, faults)
        else:
            found, _ = run_in_process(seed, complete=complete)
        if found:
            wrong[seed] = found
    return wrong


def main() -> int:
    """Run the pulls given on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pulls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--sockets", action="store_true")
    kind.add_argument("--complete", action="store_true", help="read windows, prove completeness")
    options = parser.parse_args()
    # Each list that changes is logged as a warning.
    logging.getLogger("aioburki").setLevel(logging.ERROR)
    faults = FaultServer() if options.sockets else None
    start, failed = time.monotonic(), 0
    for seed in range(options.seed, options.seed + options.pulls):
        how = {"on_sockets": options.sockets, "complete": options.complete}
        found = failures(range(seed, seed + 1), faults=faults, **how)
        for problem in found.get(seed, []):
            print(f"{Scenario.from_seed(seed, **how)}\n  {problem}")
        if found:
            failed += 1
            print(f"  replay: {replay_command(seed, **how)}", flush=True)
    if faults is not None:
        faults.end()
    took = time.monotonic() - start
    print(f"{options.pulls:,} pulls, {failed:,} failed, {took:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
