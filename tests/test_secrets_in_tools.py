"""Rich, structlog, logfire, pytest and pickle: what they show of our objects is masked."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import resource
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import canaries
import httpx
import logfire
import pytest
import rich
import structlog
from canaries import traces
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pages import KEY, PHONE, ListServer, body, contact, page
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from aioburki import BurkiClient
from aioburki._decoding.fast import Draft
from aioburki._list_contacts import _ContactRowReader
from aioburki._page import Page
from aioburki._tables import parquet, pull
from aioburki.export import _csv, export_csv, export_jsonl, export_parquet

# logfire uses a class of OpenTelemetry that this has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:You should use InstrumentationScope")

Render = Callable[[object], str]
Failing = Callable[[BurkiClient, Path], Awaitable[object]]


def printed(*things: object, **options: Any) -> str:
    """Return what a wide console prints."""
    output = io.StringIO()
    rich.print(*things, file=output, **options)
    return output.getvalue()


def inspected(thing: object, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=300)
    rich.inspect(thing, console=console, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def in_console_log(thing: object) -> str:
    renderer = structlog.dev.ConsoleRenderer()
    return str(renderer(None, "info", {"event": "it came", "thing": thing, "things": [thing]}))


def in_json_log(thing: object) -> str:
    renderer = structlog.processors.JSONRenderer()
    return str(renderer(None, "info", {"event": "it came", "thing": thing, "things": [thing]}))


def in_logfire(thing: object) -> str:
    """Return what logfire prints and what it would send of a message and of a span."""
    console, exporter = io.StringIO(), InMemorySpanExporter()
    local = logfire.configure(
        local=True,
        send_to_logfire=False,
        metrics=False,
        console=logfire.ConsoleOptions(output=console, verbose=True),
        additional_span_processors=[SimpleSpanProcessor(exporter)],
    )
    error = thing if isinstance(thing, BaseException) else None
    local.info("it came: {thing}", thing=thing, things=[thing, {"in": thing}], _exc_info=error)
    with local.span("with", thing=thing):
        local.info(f"it came: {thing}")
    local.shutdown()
    sent = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    assert len(sent) == 3
    return console.getvalue() + json.dumps(sent, ensure_ascii=False)


RENDERERS: dict[str, Render] = {
    "rich.print": printed,
    "rich.print, in containers": lambda thing: printed([thing], {"in": (thing,)}),
    "rich.pretty": pretty_repr,
    "rich.inspect": inspected,
    "rich.inspect, private": lambda thing: inspected(thing, private=True),
    "rich.inspect, all": lambda thing: inspected(thing, all=True),
    "structlog's console": in_console_log,
    "structlog's JSON": in_json_log,
    "logfire": in_logfire,
}


async def things() -> dict[str, object]:
    """Return an object of each kind that holds a secret or personal data, or leads to it."""
    server = ListServer(range(1, 30))
    refused = BurkiClient.__new__(BurkiClient)
    async with BurkiClient(KEY, transport=server.transport) as burki:
        pull = burki.contacts(42, status="completed", per_page=10, limit=25)
        contacts = await pull
        async with pull.stream() as stream:
            await anext(stream)
            rows, whole = _ContactRowReader(), await pull.page(1)
            return {
                "client": burki,
                "refused client": refused,
                "contacts": pull,
                "stream": stream,
                "list": contacts,
                "plain list": contacts[:2],
                "contact": contacts[0],
                "data": contacts[0].contact_data,
                "page": whole,
                "report": contacts.report,
                "settings": burki._settings,
                "key": burki._settings.api_key,
                "fetcher": burki._fetcher,
                "sender": burki._session.sender,
                "pull": stream._pull,
                "rows": rows.documented_rows(body([contact(1)])),
                "rows without a zone": rows.documented_rows(
                    body([contact(1, created_at="2024-02-01T10:30:00")])
                ),
                "loose rows": rows.loose_rows([contact(1, new_field=PHONE)]),
                "draft": Draft(rows.documented_rows(body([contact(1)])), whole.pagination),
                "page of items": Page(whole.contacts, whole.pagination),
            }


@pytest.mark.asyncio
@pytest.mark.parametrize("name", RENDERERS)
async def test_no_tool_shows_what_an_object_holds(name: str) -> None:
    """Printed, inspected or logged, objects show no key, phone number or contact data."""
    shown = {kind: traces(RENDERERS[name](thing)) for kind, thing in (await things()).items()}
    assert {kind: found for kind, found in shown.items() if found} == {}


@pytest.mark.parametrize("name", RENDERERS)
def test_renderers_show_what_is_not_masked(name: str) -> None:
    """What the test before looks at would hold the canaries of a plain object."""
    assert traces(RENDERERS[name]([KEY, PHONE])) == {"key", "phone number"}


@pytest.mark.asyncio
async def test_rich_prints_the_masked_form() -> None:
    """What rich prints says which object it is, as `repr` does."""
    every = await things()
    assert pretty_repr(every["contact"], max_width=200) == repr(every["contact"])
    assert pretty_repr(every["plain list"], max_width=200) == repr(every["plain list"])
    assert pretty_repr(every["page"]) == "ContactPage('page 1 of 3', '10 contacts')"
    assert pretty_repr(every["contacts"]) == (
        "Contacts(campaign_id=42, status='completed', limit=25)"
    )
    assert pretty_repr(every["key"]) == "[API key]"
    assert pretty_repr(every["refused client"]) == "BurkiClient(refused)"


@pytest.mark.asyncio
async def test_fields_without_secrets_reach_logfire() -> None:
    """A contact that is logged can be told from others, and its status be counted."""
    text = in_logfire((await things())["contact"])
    assert r"{\"id\":1,\"status\":\"completed\",\"attempts\":1," in text


def rich_traceback(error: BaseException) -> str:
    console = Console(file=io.StringIO(), width=300)
    console.print(
        Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_string=1000,
        )
    )  # fmt: skip
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def structlog_traceback(error: BaseException) -> str:
    renderer = structlog.dev.ConsoleRenderer()
    return str(renderer(None, "error", {"event": "it failed", "exc_info": error}))


def structlog_dict(error: BaseException) -> str:
    event = structlog.processors.dict_tracebacks(None, "error", {"exc_info": error})
    return str(structlog.processors.JSONRenderer(ensure_ascii=False)(None, "error", event))


REPORTERS: dict[str, Callable[[BaseException], str]] = {
    "rich": rich_traceback,
    "structlog's console": structlog_traceback,
    "structlog's dictionaries": structlog_dict,
    "logfire": in_logfire,
}


def refused(make: Callable[[], BurkiClient]) -> Failing:
    async def fail(burki: BurkiClient, folder: Path) -> object:
        return make()

    return fail


async def refuse_variable(burki: BurkiClient, folder: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURKI_API_KEY", f"{KEY}\n")
        return BurkiClient()


async def collect(burki: BurkiClient, folder: Path) -> object:
    return await burki.contacts(42, per_page=10)


async def fetch_page_2(burki: BurkiClient, folder: Path) -> object:
    return await burki.contacts(42, per_page=10).page(2)


async def fail_in_loop(burki: BurkiClient, folder: Path) -> None:
    async for person in burki.contacts(42, per_page=10):
        raise ValueError(f"no place for {person}")


async def fail_in_loop_over_pages(burki: BurkiClient, folder: Path) -> None:
    async for people in burki.contacts(42, per_page=10).pages():
        raise ValueError(f"no place for {people}")


async def fail_in_stream(burki: BurkiClient, folder: Path) -> None:
    async with burki.contacts(42, per_page=10).stream() as stream:
        async for person in stream:
            raise ValueError(f"no place for {person}")


async def fail_with_everything(burki: BurkiClient, folder: Path) -> None:
    people = await burki.contacts(42, per_page=10)
    plain, by_id, data = list(people), {each.id: each for each in people}, people[0].contact_data
    raise ValueError(f"no place for {plain[0]}, {by_id[1]} or {data}")


async def close_in_loop(burki: BurkiClient, folder: Path) -> None:
    async for _ in burki.contacts(42, per_page=10):
        await burki.aclose()


async def write_csv(burki: BurkiClient, folder: Path) -> None:
    await export_csv(burki.contacts(42, per_page=10).pages(), folder / "contacts.csv")


async def write_jsonl(burki: BurkiClient, folder: Path) -> None:
    await export_jsonl(burki.contacts(42, per_page=10).pages(), folder / "contacts.jsonl")


async def write_parquet(burki: BurkiClient, folder: Path) -> None:
    with small_row_groups():
        await export_parquet(burki.contacts(42, per_page=10), folder / "contacts.parquet")


async def write_parquet_of_pages(burki: BurkiClient, folder: Path) -> None:
    pages = burki.contacts(42, per_page=10).pages()
    await export_parquet(pages, folder / "contacts.parquet", flatten=True)


@contextmanager
def small_row_groups() -> Iterator[None]:
    """Let batches and row groups have ten rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROWS_PER_GROUP", 10)
        patch.setattr(pull, "ROWS_PER_BATCH", 10)
        yield


def instead_of_page_2(respond: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """Return a transport whose list has 29 contacts, and whose second page *respond* sends."""

    def handle(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        if number == 2:
            return respond(request)
        return httpx.Response(200, content=body(page(number, 10, range(1, 30))))

    return httpx.MockTransport(handle)


def answering(status: int, content: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, content=content)


def failing(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        raise error

    return respond


PAGE_2 = page(2, 10, range(1, 30))
ECHO = body({"detail": f"you sent {KEY} for {PHONE}"})

RESPONSES: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "page": answering(200, body(PAGE_2)),
    "HTTP 401": answering(401, ECHO),
    "HTTP 500": answering(500, ECHO),
    "wrong field": answering(200, body(PAGE_2 | {"contacts": [contact(1, id=PHONE)]})),
    "half a page": answering(200, body(PAGE_2)[:-30]),
    "another page": answering(200, body(page(1, 10, range(1, 30)))),
    "connection error": failing(httpx.ConnectError(f"{KEY} {PHONE}")),
    "error of the transport": failing(ValueError("a fault of a transport")),
}

FAILURES: dict[str, tuple[str, Failing]] = {
    "refused key": ("page", refused(lambda: BurkiClient(f"{KEY}\n"))),
    "refused variable": ("page", refuse_variable),
    "refused number": ("page", refused(lambda: BurkiClient(KEY, timeout=0))),
    "refused URL": ("page", refused(lambda: BurkiClient(KEY, base_url="x"))),
    "refused transport": ("page", refused(lambda: BurkiClient(KEY, transport=1))),  # type: ignore[arg-type]
    "consumer": ("page", fail_in_loop),
    "consumer of pages": ("page", fail_in_loop_over_pages),
    "consumer of a stream": ("page", fail_in_stream),
    "consumer with containers": ("page", fail_with_everything),
    "closed": ("page", close_in_loop),
    "one page": ("HTTP 401", fetch_page_2),
    **{f"collect, {name}": (name, collect) for name in RESPONSES if name != "page"},
    "CSV": ("HTTP 401", write_csv),
    "JSONL": ("HTTP 401", write_jsonl),
    "Parquet": ("HTTP 401", write_parquet),
    "Parquet of pages": ("HTTP 401", write_parquet_of_pages),
}


async def raised_by(name: str, folder: Path) -> BaseException:
    """Return the error that a failure raises, with its traceback from here on."""
    response, fail = FAILURES[name]
    transport = instead_of_page_2(RESPONSES[response])
    try:
        async with BurkiClient(KEY, transport=transport, attempts=2) as burki:
            await fail(burki, folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is reported
        return without_wrappers(error)
    pytest.fail("nothing was raised")


def without_wrappers(error: BaseException) -> BaseException:
    """Take the frames out of a traceback that the fixture `canaries` has put there."""
    kept: TracebackType | None = None
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_filename != canaries.__file__:
            kept = TracebackType(kept, frame, frame.f_lasti, line)
    return error.with_traceback(kept)


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.parametrize("name", FAILURES)
async def test_no_reported_traceback_shows_a_secret(name: str, tmp_path: Path) -> None:
    """Tracebacks with local variables show none of ours, and contacts of users masked."""
    error = await raised_by(name, tmp_path)
    shown = {tool: traces(report(error)) for tool, report in REPORTERS.items()}
    assert {tool: found for tool, found in shown.items() if found} == {}


@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.parametrize("tool", ["rich", "structlog's console", "structlog's dictionaries"])
async def test_reported_tracebacks_show_local_variables(tool: str, tmp_path: Path) -> None:
    """What the test before looks at holds the contact of the consumer's frame, masked."""
    error = await raised_by("consumer", tmp_path)
    assert f"…{PHONE[-2:]}" in REPORTERS[tool](error)


@pytest.mark.parametrize("tool", ["rich", "structlog's console", "structlog's dictionaries"])
def test_reporters_show_what_is_not_masked(tool: str) -> None:
    """A key in a local variable of the application is shown."""

    def fail(key: str) -> None:
        raise ValueError("no such key")

    with pytest.raises(ValueError, match="no such key") as caught:
        fail(KEY)
    assert traces(REPORTERS[tool](caught.value)) == {"key"}


@pytest.mark.asyncio
@pytest.mark.parametrize("write", [export_csv, export_jsonl])
@pytest.mark.parametrize("is_spool_full", [True, False])
async def test_full_disk_shows_no_contact(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Any, is_spool_full: bool
) -> None:
    """The traceback of an export whose files cannot be written holds no row."""
    if not is_spool_full:
        monkeypatch.setattr(_csv, "_spool_beside", lambda _: io.StringIO())
    transport = ListServer(range(1, 1000)).transport
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with BurkiClient(KEY, transport=transport) as burki:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                await write(burki.contacts(42).pages(), tmp_path / "contacts")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert traces(rich_traceback(caught.value)) == set()


@pytest.mark.asyncio
@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("is_of_pages", [False, True])
async def test_full_disk_shows_no_row(tmp_path: Path, flatten: bool, is_of_pages: bool) -> None:
    """The traceback of a Parquet file that cannot be written holds no table and no batch."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with BurkiClient(KEY, transport=ListServer(range(1, 1000)).transport) as burki:
        contacts = burki.contacts(42, per_page=10)
        await export_parquet(contacts, tmp_path / "warm")  # imports need the disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught, small_row_groups():
                source = contacts.pages() if is_of_pages else contacts
                await export_parquet(source, tmp_path / "contacts", flatten=flatten)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert traces(rich_traceback(caught.value)) == set()


@pytest.mark.asyncio
@pytest.mark.virtual_clock
async def test_logged_fault_of_on_event_shows_no_secret() -> None:
    """What structlog renders of the log record of a listener that fails is free of secrets."""
    texts: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                texts.extend(report(record.exc_info[1]) for report in REPORTERS.values())  # type: ignore[arg-type]

    def fail(event: object) -> None:
        raise ValueError

    handler = Handler()
    logging.getLogger("aioburki").addHandler(handler)
    try:
        transport = ListServer([1]).transport
        async with BurkiClient(KEY, transport=transport, on_event=fail) as burki:
            await burki.contacts(42)
    finally:
        logging.getLogger("aioburki").removeHandler(handler)
    assert len(texts) == 4 * len(REPORTERS)  # of each event: start, request, page, end
    assert traces("\n".join(texts)) == set()


PEOPLE = f"""
import attrs
from aioburki import *

def person(number, phone, name):
    data = ContactData(company=name, variable_values={{"name": name}}, extra={{name: phone}})
    return Contact(number, phone, data, ContactStatus.BUSY)

def both(make):
    return make(person(1, {PHONE!r}, "John Smith")), make(person(1, {PHONE[:-1]!r}, "John Smith 2"))

def page(each):
    return ContactPage((each,), Pagination(1, 1, 1, 1, False, False))
"""

TESTS_THAT_FAIL = """
import pytest
from people import ContactList, both, page

@pytest.mark.parametrize("make", [
    lambda each: each, lambda each: each.contact_data, page, lambda each: [each],
    lambda each: ContactList([each]), lambda each: (each,), lambda each: {"in": each},
    lambda each: {each}, lambda each: {"in": [page(each)]},
])
def test_equal(make):
    left, right = both(make)
    assert left == right

def test_in():
    left, right = both(lambda each: each)
    assert left in [right, right.contact_data]
"""


@pytest.mark.parametrize("options", [[], ["-vv", "--showlocals"]])
def test_failed_assertions_show_no_contact(tmp_path: Path, options: list[str]) -> None:
    """What pytest prints of two contacts that differ, alone or in containers, is masked."""
    (tmp_path / "people.py").write_text(PEOPLE)
    (tmp_path / "test_people.py").write_text(TESTS_THAT_FAIL)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path,
         "-c", os.devnull, *options, tmp_path],
        env=os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "10 failed" in done.stdout, done.stdout + done.stderr
    assert "Contact(id=1, phone_number='…87', status='busy', attempts=0)" in done.stdout
    assert traces(done.stdout) == set()


@pytest.mark.asyncio
@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("name", ["client", "refused client", "settings", "key"])
async def test_what_holds_the_key_cannot_be_pickled(take: Any, name: str) -> None:
    """A client is refused by pickle and copy with an error that says why, without the key."""
    thing = (await things())[name]
    if name == "settings" and take is copy.copy:
        assert take(thing).api_key is thing.api_key  # type: ignore[attr-defined]
        return
    with pytest.raises(TypeError, match="cannot be pickled or copied") as caught:
        take(thing)
    assert traces(rich_traceback(caught.value)) == set()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["contacts", "stream", "fetcher", "sender", "pull"])
async def test_what_leads_to_the_key_cannot_be_pickled(name: str) -> None:
    """A query and a stream hold their client, so they are refused too."""
    thing = (await things())[name]
    with pytest.raises((TypeError, pickle.PicklingError)) as caught:
        pickle.dumps(thing)
    assert traces(str(caught.value)) == set()
