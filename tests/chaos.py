"""Pulls through seeded chaos: every fifth answer fails, in all the ways there are.

Run it with ``python tests/chaos.py --pulls 10000``. Each pull has its own seed, from which
follow the list, whether it moves, the query, the way it is read, and what happens to which
attempt at which page; so what must come out is known before the pull begins. It runs on a
clock that skips what would be slept (and is the same each time), or with ``--sockets`` over
real connections to `fault_server.py`. A seed that fails prints the command that replays it.
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
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

import attrs
import httpx
from faults import CLOSE, RESET, STALL, FaultServer, Steps, complete, raw, says
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

SHARE = 0.2
A_DAY = 86_400.0
MAX_MOVES = 20  # a list of small pages may grow faster than it can be read
STATUSES = [status.value for status in ContactStatus]
DATE = "Mon, 01 Jan 2024 00:00:0{} GMT"


class _Ends(httpx.AsyncByteStream):
    """A body that comes a piece at a time, and ends in its own way."""

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


Play = Callable[[bytes], httpx.Response]


@attrs.frozen
class Fault:
    """One way to fail: what it becomes if it lasts, and how to do it in process and on the wire."""

    error: type[BurkiError]
    play: Play
    steps: Callable[[bytes], Steps] | None = None
    is_lasting: bool = False


def _raises(error: Exception) -> Play:
    def play(_: bytes) -> httpx.Response:
        raise error

    return play


def _answers(status: int, payload: bytes = b'{"detail": "busy"}', **headers: str) -> Play:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, headers=named, stream=_Ends(payload))


def _changed(change: Callable[[bytes], bytes], **headers: str) -> Fault:
    """Return the fault of a complete answer whose body is not what it should be."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(
        ResponseDecodeError,
        lambda page: httpx.Response(200, headers=named, stream=_Ends(change(page))),
        lambda page: says(200, change(page), **headers),
    )


def _broken_off(error: Exception, ending: str) -> Fault:
    """Return the fault of a connection that ends in mid-body."""
    return Fault(
        ConnectionFailedError,
        lambda page: httpx.Response(200, stream=_Ends(page[: len(page) // 2], error=error)),
        lambda page: raw("cut", complete(page)[:-5], then=ending),
    )


def _status(status: int, kind: type[BurkiError], *, is_lasting: bool = False) -> Fault:
    return Fault(kind, _answers(status), lambda _: says(status), is_lasting=is_lasting)


PASSING: dict[str, Fault] = {
    "refused": Fault(ConnectionFailedError, _raises(httpx.ConnectError(""))),
    "not connected": Fault(RequestTimeoutError, _raises(httpx.ConnectTimeout(""))),
    "closed": Fault(ConnectionFailedError, _raises(httpx.RemoteProtocolError("")), lambda _: CLOSE),
    "reset": Fault(ConnectionFailedError, _raises(httpx.ReadError("")), lambda _: RESET),
    "not sent": Fault(ConnectionFailedError, _raises(httpx.WriteError(""))),
    "bare reset": Fault(ConnectionFailedError, _raises(ConnectionResetError())),
    "bare TLS": Fault(ConnectionFailedError, _raises(ssl.SSLError("bad record"))),
    "banner": Fault(
        ConnectionFailedError,
        _raises(httpx.RemoteProtocolError("")),
        lambda _: raw("banner", "SSH-2.0-x\r\n"),
    ),
    "status line cut": Fault(
        ConnectionFailedError,
        _raises(httpx.RemoteProtocolError("")),
        lambda _: raw("cut", "HTTP/1.1 2"),
    ),
    "body cut": _broken_off(httpx.RemoteProtocolError(""), "close"),
    "body reset": _broken_off(httpx.ReadError(""), "reset"),
    "silent": Fault(RequestTimeoutError, _raises(httpx.ReadTimeout("")), lambda _: STALL),
    "body stalls": Fault(
        RequestTimeoutError,
        lambda page: httpx.Response(200, stream=_Ends(page, pause=A_DAY)),
        lambda page: raw("stall", complete(page)[:-5], then="stall"),
    ),
    "body drips": Fault(
        RequestTimeoutError,
        lambda page: httpx.Response(200, stream=_Ends(page, pause=1.0, piece=1)),
        lambda page: [["note", "drip"], ["send", complete(page)[:-60]], ["drip", " " * 60, 0.05]],
    ),
    "empty": _changed(lambda _: b""),
    "half the JSON": _changed(lambda page: page[: len(page) // 2]),
    "a byte short": _changed(lambda page: page[:-1]),
    "gzip cut": _changed(lambda page: gzip.compress(page)[:-9], content_encoding="gzip"),
    "gzip that is none": _changed(lambda page: page, content_encoding="gzip"),
    "408": _status(408, APIError),
    "425": _status(425, APIError),
    **{
        str(status): _status(status, ServerError)
        for status in (500, 502, 503, 504, 520, 522, 524, 530)
    },
    "503 with a time": Fault(
        ServerError,
        _answers(503, retry_after="1.5"),
        lambda _: says(503, retry_after="0.05"),
    ),
}
REFUSING: dict[str, Fault] = {
    "429": Fault(RateLimitError, _answers(429)),
    "429 with a time": Fault(
        RateLimitError, _answers(429, retry_after="2"), lambda _: says(429, retry_after="0.05")
    ),
    "429 with a date": Fault(
        RateLimitError, _answers(429, date=DATE.format(1), retry_after=DATE.format(4))
    ),
}
LASTING: dict[str, Fault] = {
    "401": _status(401, AuthenticationError, is_lasting=True),
    "404": _status(404, NotFoundError, is_lasting=True),
    "422": _status(422, UnprocessableError, is_lasting=True),
    "301": _status(301, UnexpectedResponseError, is_lasting=True),
    "HTML": Fault(
        UnexpectedResponseError,
        _answers(403, b"<html></html>"),
        lambda _: says(403, b"<html></html>"),
        is_lasting=True,
    ),
    "another encoding": Fault(
        UnexpectedResponseError,
        _answers(200, b"x", content_encoding="br"),
        lambda _: says(200, b"x", content_encoding="br"),
        is_lasting=True,
    ),
    "no page": Fault(
        ResponseDecodeError, _answers(200, b"{}"), lambda _: says(200, b"{}"), is_lasting=True
    ),
}
FAULTS: dict[str, Fault] = PASSING | REFUSING | LASTING


@attrs.frozen
class Scenario:
    """What one seed means."""

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
    after: float
    moves: str
    has_lasting: bool

    @classmethod
    def drawn(cls, seed: int, *, on_sockets: bool) -> Scenario:
        draw = random.Random(f"scenario {seed}")
        per_page = draw.choice([1, 2, 7, 10, 25, 50])
        most_pages = 10 if on_sockets else 40
        total = draw.randrange(0, per_page * draw.randrange(1, most_pages) + 2)
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
            after=draw.random(),
            moves=draw.choice(
                ["not"] if on_sockets else ["not", "not", "grows", "shrinks", "churns"]
            ),
            has_lasting=draw.random() < 0.05,
        )

    def fault(self, page: int, attempt: int) -> str | None:
        """Return what happens to this attempt, from 1, at a page."""
        draw = random.Random(f"{self.seed} {page} {attempt}")
        if self.has_lasting and draw.random() < 0.02:
            return draw.choice(list(LASTING))
        if draw.random() >= SHARE:
            return None
        names = [
            name
            for name, fault in (PASSING | REFUSING).items()
            if fault.steps is not None or not self.on_sockets
        ]
        return draw.choice(names)

    def latency(self, page: int, attempt: int) -> float:
        return random.Random(f"latency {self.seed} {page} {attempt}").random() * 0.3

    def rows(self) -> list[tuple[int, str]]:
        """Return ids and statuses of the list as it is at first, in an order of its own."""
        draw = random.Random(f"rows {self.seed}")
        ids = list(range(1, self.total + 1))
        order = draw.choice(["rising", "falling", "none"])
        if order == "falling":
            ids.reverse()
        if order == "none":
            draw.shuffle(ids)
        return [(number, STATUSES[draw.randrange(8)]) for number in ids]

    def outcome_of(self, page: int, first: int = 1) -> tuple[int, str | None]:
        """Return how many attempts at a page are made, and the fault that ends it, if one does."""
        failures, attempt = 0, first
        while True:
            name = self.fault(page, attempt)
            if name is None:
                return attempt - first + 1, None
            failures += name not in REFUSING
            if FAULTS[name].is_lasting or (name not in REFUSING and failures >= self.attempts):
                return attempt - first + 1, name
            attempt += 1


class Server:
    """The list, how it moves, and the history of what was asked and answered."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rows = scenario.rows()
        self.asked: Counter[int] = Counter()
        self.sent: dict[int, list[tuple[list[int], int, int]]] = defaultdict(list)
        self.being_asked: set[int] = set()
        self.problems: list[str] = []
        self.history: list[str] = []
        self.bodies: list[_Ends] = []
        self.moved = 0
        self._draw = random.Random(f"moves {scenario.seed}")
        self._next_id = 1_000_000

    def page(self, number: int, per_page: int) -> tuple[list[int], int, bytes]:
        """Return the ids on a page, the number of contacts in all, and the page."""
        rows = self._wanted()
        pages = -(-len(rows) // per_page)
        mine = rows[(number - 1) * per_page : number * per_page]
        content = {
            "contacts": [contact(contact_id, status=status) for contact_id, status in mine],
            "pagination": {
                "page": number, "per_page": per_page, "total_items": len(rows),
                "total_pages": pages, "has_next": number < pages, "has_prev": number > 1,
            },
        }  # fmt: skip
        return [row[0] for row in mine], len(rows), body(content)

    def ids(self) -> list[int]:
        """Return the ids that the query asks for, as the list is now."""
        return [row[0] for row in self._wanted()]

    def _wanted(self) -> list[tuple[int, str]]:
        wanted = self.scenario.status
        return [row for row in self.rows if wanted is None or row[1] == wanted]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer in process."""
        number = int(request.url.params["page"])
        self.asked[number] += 1
        attempt = self.asked[number]
        self._note(f"GET {number}")
        if number in self.being_asked:
            self.problems.append(f"page {number} was asked for twice at once")
        self.being_asked.add(number)
        try:
            await asyncio.sleep(self.scenario.latency(number, attempt))
            return self._answer(number, attempt, int(request.url.params["per_page"]))
        finally:
            self.being_asked.discard(number)

    def _answer(self, number: int, attempt: int, per_page: int) -> httpx.Response:
        self._move()
        ids, total, content = self.page(number, per_page)
        name = self.scenario.fault(number, attempt)
        self._note(f"{number}: {name}")
        if name is not None:
            response = FAULTS[name].play(content)
        else:
            self.sent[number].append((ids, total, -(-total // per_page)))
            response = httpx.Response(200, stream=_Ends(content))
        assert isinstance(response.stream, _Ends)
        self.bodies.append(response.stream)
        return response

    def _move(self) -> None:
        draw = self._draw
        if self.scenario.moves == "not" or self.moved == MAX_MOVES or draw.random() < 0.7:
            return
        self.moved += 1
        if self.scenario.moves in ("grows", "churns"):
            place = len(self.rows) if self.scenario.moves == "grows" else None
            for _ in range(draw.randrange(1, 8)):
                self._next_id += 1
                row = (self._next_id, STATUSES[draw.randrange(8)])
                at = draw.randrange(len(self.rows) + 1) if place is None else len(self.rows)
                self.rows.insert(at, row)
        if self.scenario.moves in ("shrinks", "churns"):
            for _ in range(min(len(self.rows), draw.randrange(1, 8))):
                self.rows.pop(draw.randrange(len(self.rows)))

    def _note(self, event: str) -> None:
        self.history.append(f"{asyncio.get_running_loop().time():.6f} {event}")


class Transport(httpx.AsyncBaseTransport):
    def __init__(self, server: Server) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._server.handle(request)


@attrs.define
class Outcome:
    """What came of a pull."""

    delivered: list[int] = attrs.field(factory=list)
    error: BaseException | None = None
    report: PullReport | None = None
    was_left: bool = False


async def take(scenario: Scenario, contacts: Contacts, outcome: Outcome) -> None:
    """Read *contacts* in the way of the scenario; break off if that is its ending."""
    enough = int(scenario.after * (scenario.total + 1)) if scenario.ending == "break" else None

    def is_enough(new: list[Contact] | tuple[Contact, ...]) -> bool:
        outcome.delivered += [each.id for each in new]
        outcome.was_left = enough is not None and len(outcome.delivered) >= enough
        return outcome.was_left

    match scenario.way:
        case "await":
            everybody = await contacts
            outcome.report = everybody.report
            outcome.delivered = [each.id for each in everybody]
        case "iterate":
            async for each in contacts:
                if is_enough([each]):
                    break
        case "pages":
            async with aclosing(contacts.pages()) as pages:
                async for page in pages:
                    if is_enough(page.contacts):
                        break
        case "stream":
            async with contacts.stream() as stream:
                async for each in stream:
                    if is_enough([each]):
                        break
            outcome.report = stream.report


async def end(scenario: Scenario, contacts: Contacts, outcome: Outcome) -> None:
    """Run the pull to the ending of the scenario."""
    seconds = scenario.after * (0.3 if scenario.on_sockets else 2.0)
    pull = take(scenario, contacts, outcome)
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
    """Return the pages that a pull of a list that stands still must ask for."""
    if scenario.limit == 0:
        return []
    needed = len(expected_ids(scenario))
    return list(range(1, max(1, -(-needed // scenario.per_page)) + 1))


def expected_ids(scenario: Scenario) -> list[int]:
    """Return what a pull of a list that stands still must deliver."""
    ids = [
        number
        for number, status in scenario.rows()
        if scenario.status is None or status == scenario.status
    ]
    return ids[: scenario.limit]


def verdict(scenario: Scenario, outcome: Outcome, asked: Mapping[int, int]) -> list[str]:
    """Return what is wrong with a pull of a list that stood still, known from the seed alone."""
    wrong: list[str] = []
    ids, pages = expected_ids(scenario), expected_pages(scenario)
    if outcome.delivered != ids[: len(outcome.delivered)]:
        wrong.append("something was lost, doubled, or out of order")
    if surplus := set(asked) - set(pages):
        wrong.append(f"pages were asked for that nobody needs: {sorted(surplus)}")
    plan = {page: scenario.outcome_of(page) for page in pages}
    for page in asked:
        if page in plan and asked[page] > plan[page][0]:
            wrong.append(f"page {page} was asked for {asked[page]} times, not {plan[page][0]}")
    failing = {page: (tries, name) for page, (tries, name) in plan.items() if name is not None}
    error = outcome.error
    if outcome.was_left or (_is_ending(scenario, error) and scenario.ending != "complete"):
        return wrong
    if failing:
        return wrong + _wrong_error(error, failing)
    if error is not None:
        return [*wrong, f"it should have succeeded, not {error!r}"]
    if outcome.delivered != ids:
        wrong.append(f"{len(outcome.delivered)} of {len(ids)} contacts were delivered")
    if dict(asked) != {page: tries for page, (tries, _) in plan.items()}:
        wrong.append("pages were not asked for as often as they had to be")
    if outcome.report is not None:
        wrong += _wrong_report(scenario, outcome.report, plan, len(ids))
    return wrong


def _is_ending(scenario: Scenario, error: BaseException | None) -> bool:
    """Tell whether *error* is how the scenario itself ends the pull."""
    if scenario.ending == "deadline":
        return type(error) is TimeoutError
    return scenario.ending == "cancel" and type(error) is asyncio.CancelledError


def _wrong_error(
    error: BaseException | None, failing: Mapping[int, tuple[int, str | None]]
) -> list[str]:
    """Return what is wrong with the error of a pull in which the *failing* pages cannot be had."""
    if not isinstance(error, BurkiError) or error.page is None or error.page not in failing:
        return [f"it should have failed at one of the pages {sorted(failing)}, not {error!r}"]
    tries, name = failing[error.page]
    assert name is not None
    kind = FAULTS[name].error
    if type(error) is not kind or error.attempts != tries:
        return [f"it should have been {kind.__name__} after {tries} attempts, not {error!r}"]
    if error.__cause__ is not None or error.__context__ is not None:
        return ["something is chained to the error"]
    return []


def _wrong_report(
    scenario: Scenario,
    report: PullReport,
    plan: Mapping[int, tuple[int, str | None]],
    delivered: int,
) -> list[str]:
    names = [scenario.fault(page, n) for page, (tries, _) in plan.items() for n in range(1, tries)]
    refused = sum(name in REFUSING for name in names)
    figures = (report.contacts, report.pages, report.requests, report.retries, report.rate_limited)
    right = (delivered, len(plan), len(names) + len(plan), len(names) - refused, refused)
    wrong = [] if figures == right else [f"the report says {figures}, not {right}"]
    if report.duplicates or not report.consistent:
        wrong.append(f"the report says of a list that stood still: {report.drift}")
    return wrong


def verdict_of_history(scenario: Scenario, outcome: Outcome, server: Server) -> list[str]:
    """Return what is wrong with a pull of a list that moved, by what was answered."""
    wrong: list[str] = []
    answers = [answer for page in sorted(server.sent) for answer in server.sent[page]]
    sent = list(dict.fromkeys(number for ids, _, _ in answers for number in ids))
    if len(set(outcome.delivered)) != len(outcome.delivered):
        wrong.append("a contact was delivered twice")
    if not set(outcome.delivered) <= set(sent):
        wrong.append("a contact was delivered that the server never sent")
    failing: dict[int, tuple[int, str | None]] = {}
    for page, asked in server.asked.items():
        first, name = 1, None
        while first <= asked:
            tries, name = scenario.outcome_of(page, first)
            if first + tries - 1 <= asked and name is not None:
                failing[page] = (tries, name)
            first += tries
    error = outcome.error
    if outcome.was_left or (_is_ending(scenario, error) and scenario.ending != "complete"):
        return wrong
    if failing:
        return wrong + _wrong_error(error, failing)
    if error is not None:
        return [*wrong, f"it should have succeeded, not {error!r}"]
    if outcome.delivered != sent[: scenario.limit]:
        wrong.append("what was delivered is not what was sent")
    if scenario.limit is None:
        last = max((pages for _, _, pages in answers), default=1)
        if missing := set(range(1, max(1, last) + 1)) - set(server.sent):
            wrong.append(f"it ended without the pages {sorted(missing)}")
        totals = {total for _, total, _ in answers}
        if len(totals) > 1 and outcome.report is not None and outcome.report.consistent:
            wrong.append("the list moved, and the report does not say so")
    if scenario.moves == "grows":
        last_total = max((total for _, total, _ in answers), default=0)
        if outcome.delivered != server.ids()[:last_total][: scenario.limit]:
            wrong.append("a contact is missing that some page told of")
    return wrong


async def leftovers(server: Server | None = None) -> list[str]:
    """Return what is left of a pull, after the few turns that a ``break`` takes."""
    for _ in range(20):
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    left = [f"a task is left: {task.get_name()}" for task in tasks]
    if server is not None and any(each.is_open for each in server.bodies):
        left.append("an answer was not closed")
    if server is not None and server.being_asked:
        left.append("a request is left")
    return left


async def pull_in_process(scenario: Scenario) -> tuple[list[str], list[str]]:
    """Run one pull in process; return what is wrong, and the history by the clock."""
    random.seed(scenario.seed)  # the jitter of the client
    server, outcome = Server(scenario), Outcome()
    async with BurkiClient(
        KEY,
        transport=Transport(server),
        concurrency=scenario.concurrency,
        attempts=scenario.attempts,
        max_wait=A_DAY,
    ) as burki:
        contacts = burki.contacts(
            42, status=scenario.status, per_page=scenario.per_page, limit=scenario.limit
        )
        await end(scenario, contacts, outcome)
        wrong = await leftovers(server)
    if scenario.moves == "not":
        wrong += verdict(scenario, outcome, server.asked)
    wrong += verdict_of_history(scenario, outcome, server) + server.problems
    return wrong, [*server.history, repr(outcome)]


async def pull_over_sockets(scenario: Scenario, faults: FaultServer) -> list[str]:
    """Run one pull over real connections; return what is wrong."""
    random.seed(scenario.seed)
    rows, outcome = Server(scenario), Outcome()
    pages = {number: rows.page(number, scenario.per_page)[2] for number in range(1, 40)}
    moves: dict[int | str, list[Steps]] = {}
    for number, content in pages.items():
        moves[number] = []
        for attempt in range(1, scenario.outcome_of(number)[0] + 1):
            name = scenario.fault(number, attempt)
            play = None if name is None else FAULTS[name].steps
            whole = [["note", "200"], ["send", complete(content)]]
            moves[number].append(whole if play is None else play(content))
    faults.listen(moves, latency=scenario.latency(0, 0) / 10)
    async with BurkiClient(
        KEY,
        base_url=faults.url,
        concurrency=scenario.concurrency,
        attempts=scenario.attempts,
        timeout=1,
    ) as burki:
        await connection_pool_of(burki)._tls_context()  # or the first attempt would load it
        contacts = burki.contacts(
            42, status=scenario.status, per_page=scenario.per_page, limit=scenario.limit
        )
        await end(scenario, contacts, outcome)
        wrong = await leftovers()
    if faults.settled():
        wrong.append("a connection is left")
    asked = Counter(
        int(event.removeprefix("GET ")) for event in faults.events if event.startswith("GET ")
    )
    return wrong + verdict(scenario, outcome, asked)


def replay(seed: int, *, on_sockets: bool) -> str:
    """Return the command that does it again."""
    option = " --sockets" if on_sockets else ""
    return f"{sys.executable} tests/chaos.py --pulls 1 --seed {seed}{option}"


def run_in_process(seed: int) -> tuple[list[str], list[str]]:
    """Run one pull on a clock of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(pull_in_process(Scenario.drawn(seed, on_sockets=False)))


def run_over_sockets(seed: int, faults: FaultServer) -> list[str]:
    """Run one pull in an event loop of its own."""
    return asyncio.run(pull_over_sockets(Scenario.drawn(seed, on_sockets=True), faults))


def failures(
    seeds: range, *, on_sockets: bool, faults: FaultServer | None = None
) -> dict[int, list[str]]:
    """Run a pull for each seed; return what is wrong by seed."""
    wrong: dict[int, list[str]] = {}
    for seed in seeds:
        if on_sockets:
            assert faults is not None
            found = run_over_sockets(seed, faults)
        else:
            found, _ = run_in_process(seed)
        if found:
            wrong[seed] = found
    return wrong


def main() -> int:
    """Run the pulls that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pulls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sockets", action="store_true")
    options = parser.parse_args()
    logging.getLogger("aioburki").setLevel(logging.ERROR)  # it warns of each list that moved
    faults = FaultServer() if options.sockets else None
    start, failed = time.monotonic(), 0
    for seed in range(options.seed, options.seed + options.pulls):
        found = failures(range(seed, seed + 1), on_sockets=options.sockets, faults=faults)
        for problem in found.get(seed, []):
            print(f"{Scenario.drawn(seed, on_sockets=options.sockets)}\n  {problem}")
        if found:
            failed += 1
            print(f"  replay: {replay(seed, on_sockets=options.sockets)}", flush=True)
    if faults is not None:
        faults.end()
    took = time.monotonic() - start
    print(f"{options.pulls:,} pulls, {failed:,} wrong, {took:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
