"""Parquet files: what is in them, how they are written, and what is refused."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pages import KEY, PHONE, ListServer, contact

from aioburki import (
    AuthenticationError,
    BurkiClient,
    ConfigurationError,
    Contact,
    ContactData,
    ContactPage,
    ContactStatus,
    Pagination,
    ResponseDecodeError,
    __version__,
)
from aioburki._tables import parquet
from aioburki.export import export_csv, export_jsonl, export_parquet
from aioburki.sandbox import Sandbox

pytestmark = [pytest.mark.long, pytest.mark.asyncio, pytest.mark.usefixtures("nothing_left")]

EXPORTS = [export_csv, export_jsonl, export_parquet]


class RowServer(ListServer):
    """Serve contacts, of which *changes* by id differ."""

    def __init__(self, count: int, changes: dict[int, dict[str, Any]]) -> None:
        super().__init__(range(1, count + 1))
        self.changes = changes

    def __call__(self, request: httpx.Request) -> httpx.Response:
        content = super().__call__(request).json()
        content["contacts"] = [
            contact(each["id"], **self.changes.get(each["id"], {})) for each in content["contacts"]
        ]
        return httpx.Response(200, json=content)


def data(**free_form: Any) -> dict[str, Any]:
    return {"contact_data": {"variable_values": free_form}}


def client(server: Any = None, **options: Any) -> BurkiClient:
    return BurkiClient(KEY, transport=(server or Sandbox(3_000)).transport, **options)


def page(*contacts: Contact) -> ContactPage:
    return ContactPage(contacts, Pagination(1, max(1, len(contacts)), 9, 9, False, False))


def person(number: int = 1, **changes: Any) -> Contact:
    fields: dict[str, Any] = {"status": ContactStatus.BUSY, "contact_data": ContactData()}
    return Contact(number, PHONE, **fields | changes)


def metadata_of(target: Path) -> dict[str, str]:
    """Return the metadata that the export has written, without the prefix."""
    pairs = pq.read_metadata(target).metadata or {}
    texts = {
        name.decode(): value.decode() for name, value in pairs.items() if name != b"ARROW:schema"
    }
    assert all(name.startswith("aioburki.") for name in texts)
    return {name.removeprefix("aioburki."): text for name, text in texts.items()}


@pytest.mark.parametrize("flatten", [False, True])
async def test_file_is_the_table(tmp_path: Path, flatten: bool) -> None:
    """The file has the schema and the rows of `to_arrow`, from contacts and from pages."""
    async with client() as burki:
        contacts = burki.contacts(42, per_page=700)
        report = await export_parquet(contacts, tmp_path / "x.parquet", flatten=flatten)
        await export_parquet(contacts.pages(), tmp_path / "y.parquet", flatten=flatten)
        table = await contacts.to_arrow(flatten=flatten)
    assert (report.contacts, report.complete) == (3_000, True)
    assert pq.read_table(tmp_path / "x.parquet").equals(table)
    assert pq.read_table(tmp_path / "y.parquet").equals(table)


async def test_readers_see_the_types(tmp_path: Path) -> None:
    """DuckDB, polars and pandas read phone numbers as text, ids as integers and times as times."""
    async with client(ListServer([1])) as burki:
        await export_parquet(burki.contacts(42), target := tmp_path / "x.parquet")
    query = "select id, phone_number, status, created_at, variable_values->>'$.name' from "
    created = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
    with duckdb.connect() as database:
        row = database.sql(f"{query} '{target}'").to_arrow_table().to_pylist()[0]
    assert [*row.values()] == [1, PHONE, "completed", created, "John Smith"]
    row = pl.read_parquet(target).row(0, named=True)
    assert (row["phone_number"], row["created_at"]) == (PHONE, created)
    frame = pd.read_parquet(target, dtype_backend="pyarrow")
    assert frame["phone_number"][0] == PHONE
    assert frame["created_at"][0] == created


async def test_flat_columns_of_all_pages(tmp_path: Path) -> None:
    """Keys of later pages get columns too, in the type that the values of all pages have."""
    server = RowServer(30, {7: data(score=1), 29: data(score=2.5, late="x"), 30: data(mixed=True),
                            8: data(mixed="no")})  # fmt: skip
    async with client(server) as burki:
        contacts = burki.contacts(42, per_page=10)
        await export_parquet(contacts.pages(), target := tmp_path / "x.parquet", flatten=True)
        assert os.listdir(tmp_path) == ["x.parquet"]
        assert pq.read_table(target).equals(await contacts.to_arrow(flatten=True))
    schema = pq.read_schema(target)
    assert schema.field("variable_values.score").type == pa.float64()
    assert schema.field("variable_values.late").type == pa.string()
    assert pq.read_table(target)["variable_values.mixed"].to_pylist()[-1] == "true"


@pytest.mark.parametrize("flatten", [False, True])
async def test_file_without_contacts(tmp_path: Path, flatten: bool) -> None:
    """An empty campaign gives a file with columns and no rows."""
    async with client(ListServer([])) as burki:
        await export_parquet(burki.contacts(42), target := tmp_path / "x", flatten=flatten)
    assert pq.read_table(target).num_rows == 0
    assert pq.read_schema(target).names[:2] == ["id", "phone_number"]
    assert metadata_of(target)["contacts"] == "0"


async def test_metadata_of_a_whole_campaign(tmp_path: Path) -> None:
    """The metadata say which campaign was pulled, when, and that it is complete."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    async with client() as burki:
        await export_parquet(burki.contacts(42), target := tmp_path / "x.parquet")
    metadata = metadata_of(target)
    begun, written = (datetime.fromisoformat(metadata.pop(name)) for name in ("begun", "written"))
    assert before <= begun <= written <= datetime.now(UTC)
    assert metadata == {
        "server": "https://api.burki.dev",
        "campaign_id": "42",
        "complete": "true",
        "proof": "coverage",
        "contacts": "3000",
        "version": __version__,
    }


async def test_metadata_of_a_part(tmp_path: Path) -> None:
    """The metadata name the filter, the limit and the range, and say what is not proved."""
    async with client() as burki:
        part = (await burki.contacts(42, status="failed", per_page=50).split(2))[0]
        await export_parquet(burki.contacts(part, limit=5), target := tmp_path / "x.parquet")
        metadata = metadata_of(target)
        assert (metadata["status"], metadata["limit"]) == ("failed", "5")
        assert metadata["range"] == str(part)
        await export_parquet(burki.contacts(42, complete=False), target)
        metadata = metadata_of(target)
        assert (metadata["complete"], metadata["proof"]) == ("false", "none")


async def test_metadata_of_pages(tmp_path: Path) -> None:
    """Of pages nothing is known but how many contacts they have, so they prove nothing."""
    await export_parquet(iter([page(person(1), person(2)), page()]), target := tmp_path / "x")
    metadata = metadata_of(target)
    assert set(metadata) == {"begun", "written", "complete", "proof", "contacts", "version"}
    assert (metadata["complete"], metadata["contacts"]) == ("false", "2")


async def test_metadata_of_a_resumed_export(tmp_path: Path) -> None:
    """A resumed export has the metadata of all of it, from when its first run began."""
    is_down = True

    def fail(server: ListServer, number: int) -> None:
        if is_down and number > 4:
            raise AuthenticationError("no", status_code=401)

    target = tmp_path / "x.parquet"
    async with client(ListServer(range(1, 100), fail), concurrency=1) as burki:
        contacts = burki.contacts(42, status="completed", per_page=10)
        with pytest.raises(AuthenticationError):
            await export_parquet(contacts, target, resume=True)
        is_down = False
        await asyncio.sleep(1.1)  # times in the metadata have whole seconds
        await export_parquet(contacts, target, resume=True)
    metadata = metadata_of(target)
    assert metadata["begun"] < metadata["written"]
    assert (metadata["status"], metadata["contacts"]) == ("completed", "99")
    assert (metadata["complete"], metadata["proof"]) == ("true", "coverage")


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("bound", ["ROWS_PER_GROUP", "MAX_GROUP_BYTES"])
async def test_row_groups_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, flatten: bool
) -> None:
    """Rows are written in groups of bounded length and size, in order."""
    monkeypatch.setattr(parquet, bound, 1000)
    async with client() as burki:
        await export_parquet(burki.contacts(42), target := tmp_path / "x", flatten=flatten)
    assert pq.read_metadata(target).num_row_groups == 3
    assert pq.read_table(target)["id"].to_pylist() == [*range(101, 3101)]


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("is_of_pages", [False, True])
async def test_other_tasks_run_meanwhile(tmp_path: Path, flatten: bool, is_of_pages: bool) -> None:
    """Other tasks run after every few hundred rows, however large the pages are."""
    turns = 0

    async def heartbeat() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    people = [person(number) for number in range(5_000)]
    async with client() as burki:
        source = iter([page(*people)]) if is_of_pages else burki.contacts(42)
        task = asyncio.create_task(heartbeat())
        await export_parquet(source, tmp_path / "x", flatten=flatten)
    task.cancel()
    assert turns >= 10


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("flatten", [False, True])
async def test_full_disk(tmp_path: Path, resume: bool, flatten: bool) -> None:
    """An error of the disk is raised with the name of the file, and the old one is unchanged."""
    target, before = tmp_path / "x.parquet", resource.getrlimit(resource.RLIMIT_FSIZE)
    target.write_text("old")
    async with client() as burki:
        await export_parquet(burki.contacts(42), tmp_path / "warm")  # imports need the disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                await export_parquet(burki.contacts(42), target, flatten=flatten, resume=resume)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert Path(caught.value.filename).parent == tmp_path
    assert target.read_text() == "old"
    assert {name for name in os.listdir(tmp_path) if not name.startswith(".")} == {
        "warm", "x.parquet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "flatten", "message"),
    [
        ({"id": 2**63}, False, "beyond int64"),
        (data(**{f"key{number}": 1 for number in range(5001)}), True, "leave out flatten=True"),
    ],
)
async def test_contacts_that_fit_in_no_table(
    tmp_path: Path, changes: dict[str, Any], flatten: bool, message: str
) -> None:
    """A contact that fits in no table is a clear error, and no file is left."""
    async with client(RowServer(3, {2: changes})) as burki:
        for source in (burki.contacts(42), burki.contacts(42).pages()):
            with pytest.raises(ResponseDecodeError, match=message):
                await export_parquet(source, tmp_path / "x.parquet", flatten=flatten)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("resume", [False, True])
async def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool) -> None:
    """Without pyarrow the error says what to install, before a request is sent."""
    for name in [name for name in sys.modules if name.startswith("aioburki._tables")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("aioburki._tables")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    server = ListServer([1])
    async with client(server) as burki:
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'aioburki\[arrow\]'"):
            await export_parquet(burki.contacts(42), tmp_path / "x", resume=resume)
    assert server.asked == []
    assert os.listdir(tmp_path) == []


async def test_flatten_is_checked(tmp_path: Path) -> None:
    """Flatten that is neither True nor False is refused."""
    async with client() as burki:
        with pytest.raises(ConfigurationError, match="flatten must be True or False"):
            await export_parquet(burki.contacts(42), tmp_path / "x", flatten="yes")  # type: ignore[call-overload]


class Pages:
    """Two pages, as an iterator that is no generator."""

    def __init__(self) -> None:
        self._left = [page(person(1)), page(person(2))]

    def __aiter__(self) -> AsyncIterator[ContactPage]:
        return self

    async def __anext__(self) -> ContactPage:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


@pytest.mark.parametrize("write", EXPORTS)
@pytest.mark.parametrize("make", [Pages, lambda: iter(Pages()._left)], ids=["async", "plain"])
async def test_iterators_of_pages_are_exported(
    tmp_path: Path, write: Any, make: Callable[[], Any]
) -> None:
    """Pages may come from any iterator, also from one that is not asynchronous."""
    assert await write(make(), tmp_path / "x") is None
    await write(iter([page(person(1), person(2))]), tmp_path / "y")
    if write is export_parquet:
        assert pq.read_table(tmp_path / "x").equals(pq.read_table(tmp_path / "y"))
    else:
        assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("write", EXPORTS)
async def test_generators_are_closed(tmp_path: Path, write: Any) -> None:
    """A generator that is not asynchronous is closed after an error, too."""
    closed: list[bool] = []

    def pages() -> Iterator[ContactPage]:
        try:
            yield page(person())
            yield "no page"  # type: ignore[misc]
        finally:
            closed.append(True)

    with pytest.raises(ConfigurationError, match=r"not generator of str$"):
        await write(pages(), tmp_path / "x")
    assert closed == [True]
    assert os.listdir(tmp_path) == []


async def a_coroutine() -> None:
    """Do nothing."""


@pytest.mark.parametrize("write", EXPORTS)
async def test_what_is_no_source_is_refused_first(tmp_path: Path, write: Any) -> None:
    """Anything but contacts or an iterator is refused by its type, before any request or file."""
    server, coroutine = ListServer(range(1, 30)), a_coroutine()
    async with client(server) as burki:
        kept = await burki.contacts(42)
        asked = len(server.asked)
        others: list[Any] = [
            kept, kept[0], [*kept], page(*kept), [page(*kept)], {}, "x.csv", None, coroutine,
            burki.contacts(42).pages, burki.contacts(42).stream(), burki, burki.contacts(42).range,
        ]  # fmt: skip
        for source in others:
            with pytest.raises(ConfigurationError, match=f"not {type(source).__name__}$"):
                await write(source, tmp_path / "x")
    coroutine.close()
    assert len(server.asked) == asked
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("write", EXPORTS)
async def test_contacts_one_by_one_are_refused(tmp_path: Path, write: Any) -> None:
    """An iterator of contacts, or of their rows, is refused without showing what it yields."""
    async with client(ListServer([1])) as burki:
        contacts = burki.contacts(42)
        with pytest.raises(ConfigurationError, match=r"not async_generator of Contact$"):
            await write(aiter(contacts), tmp_path / "x")
        with pytest.raises(ConfigurationError, match=r"not list_iterator of Contact$"):
            await write(iter(await contacts), tmp_path / "x")
    assert os.listdir(tmp_path) == []
