"""Tables: contacts as Arrow tables and data frames, straight from the pages."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import duckdb
import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pages import KEY, ListServer, contact, page
from test_turns import count_turns

from aioburki import BurkiClient, Contact, ContactList, Contacts, ResponseDecodeError, _extras
from aioburki._tables import ROWS_PER_BATCH, FlatSchema, contact_schema, flat_batch
from aioburki._tables import batch as batch_module
from aioburki._tables import flat as flat_module
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

COLUMNS: list[tuple[str, Any]] = [
    ("id", pa.int64()),
    ("phone_number", pa.string()),
    ("status", pa.dictionary(pa.int32(), pa.string())),
    ("attempts", pa.int32()),
    ("created_at", pa.timestamp("us", tz="UTC")),
    ("last_attempt_at", pa.timestamp("us", tz="UTC")),
    ("company", pa.string()),
    ("source", pa.string()),
    ("variable_values", pa.string()),
    ("custom_fields", pa.string()),
    ("extra", pa.string()),
]
SCHEMA = pa.schema(COLUMNS)
FREE_FORM = ("variable_values", "custom_fields", "extra")


def client(*contacts: dict[str, Any]) -> BurkiClient:
    """Return a client of a server with these contacts on one page."""
    content = page(1, max(1, len(contacts)), range(len(contacts))) | {"contacts": list(contacts)}
    # json.dumps escapes lone surrogates, which `httpx.Response(json=…)` cannot encode.
    body = json.dumps(content)
    return BurkiClient(
        KEY, transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    )


def with_data(contact_id: int, **data: Any) -> dict[str, Any]:
    return contact(contact_id, contact_data=data)


def with_values(*values: Any) -> list[dict[str, Any]]:
    """Return a contact for each value, which is that of one key; None for a contact without."""
    return [
        with_data(number, variable_values={} if value is None else {"key": value})
        for number, value in enumerate(values, 1)
    ]


def plain(each: Contact) -> dict[str, Any]:
    """Return what the row of a contact must be, with JSON parsed."""
    data = each.contact_data
    return {
        "id": each.id,
        "phone_number": each.phone_number,
        "status": each.status.value,
        "attempts": each.attempts,
        "created_at": each.created_at,
        "last_attempt_at": each.last_attempt_at,
        "company": data.company,
        "source": data.source,
    } | {name: getattr(data, name) for name in FREE_FORM}


def parsed(table: pa.Table) -> list[dict[str, Any]]:
    return [row | {name: json.loads(row[name]) for name in FREE_FORM} for row in table.to_pylist()]


CHANGES: dict[str, dict[str, Any]] = {
    "documented": {},
    "naive": {"created_at": "2024-02-01T10:30:00.123456"},
    "zone": {"last_attempt_at": "2024-02-01T10:30:00+05:30"},
    "new field": {"new": [1]},
    "new data": {"contact_data": {"source": None, "score": 1.5, "tags": ["a", {"b": None}]}},
    "no data": {"contact_data": None},
    "new status": {"status": "queued"},
    "null attempts": {"attempts": None},
    "unreadable": {"created_at": "yesterday", "attempts": "many"},
    "deep": {"contact_data": {"custom_fields": {"a": [[[[[1]]]]]}}},
    "spaces": {"contact_data": {"variable_values": {"a\n": ' \\"é\u2028', "": [1, 2.50, 1e30]}}},
    "early": {"created_at": "0001-01-01T00:00:00Z", "last_attempt_at": "9999-12-31T23:59:59Z"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_table_holds_what_the_objects_hold(change: dict[str, Any]) -> None:
    """Every value is that of the contact, whichever reader reads the page, in the same schema."""
    async with client(contact(1), contact(2, **change), contact(3)) as burki:
        contacts = burki.contacts(42)
        everyone, table = await contacts, await contacts.to_arrow()
    assert parsed(table) == [plain(each) for each in everyone]
    assert table.schema == SCHEMA == contact_schema()
    assert everyone.to_arrow().equals(table)


@pytest.mark.parametrize("flatten", [False, True])
async def test_a_list_gives_the_table_that_a_pull_gives(*, flatten: bool) -> None:
    """Tables and frames of contacts that are there already equal those of a pull of their own."""
    async with BurkiClient(KEY, transport=Sandbox(2500).transport) as burki:
        contacts = burki.contacts(42, per_page=300)
        everyone = await contacts
        table = await contacts.to_arrow(flatten=flatten)
        frame = await contacts.to_pandas(flatten=flatten)
        polars = await contacts.to_polars(flatten=flatten)
    assert everyone.to_arrow(flatten=flatten).equals(table)
    assert everyone.to_pandas(flatten=flatten).equals(frame)
    assert everyone.to_polars(flatten=flatten).equals(polars)
    assert len(frame) == polars.height == table.num_rows == 2500


@pytest.mark.parametrize("flatten", [False, True])
async def test_no_contacts_are_an_empty_table(*, flatten: bool) -> None:
    """Without contacts there are no rows and the usual columns, in a pull and in a list."""
    async with client() as burki:
        table = await burki.contacts(42).to_arrow(flatten=flatten)
        assert [batch async for batch in burki.contacts(42).batches()] == []
    assert table.equals(ContactList().to_arrow(flatten=flatten))
    assert table.num_rows == 0
    assert table.schema == (pa.schema(list(SCHEMA)[:8]) if flatten else SCHEMA)


async def test_a_table_of_a_moving_list_is_complete() -> None:
    """No contact that was in the list throughout is missing, and none comes twice."""
    sandbox = Sandbox(10_000, drift={"leave": 4})
    before = set(sandbox.ids("pending"))
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        table = await burki.contacts(42, status="pending", per_page=200).to_arrow()
    ids: list[Any] = table["id"].to_pylist()
    assert before.intersection(sandbox.ids("pending")) <= set(ids)
    assert ids == sorted(set(ids))


async def test_a_table_has_at_most_limit_rows() -> None:
    """The first contacts are taken, and of a range those behind its start."""
    async with BurkiClient(KEY, transport=Sandbox(3000).transport) as burki:
        table = await burki.contacts(42, limit=1500).to_arrow()
        _, second = await burki.contacts(42).split(2)
        rest = await burki.contacts(second).to_arrow()
        ids = [each.id for each in await burki.contacts(42)]
    assert table["id"].to_pylist() == ids[:1500]
    assert rest["id"].to_pylist() == ids[-rest.num_rows :]


async def test_rows_are_pulled_without_contacts() -> None:
    """The items of a documented page are parsed rows, whose repr shows no values."""
    async with client(contact(1)) as burki:
        async with aclosing(burki.contacts(42).rows.start().pull) as pull:
            pulled = await pull.next_page()
    assert pulled is not None
    assert not isinstance(pulled.items[0], Contact)
    assert repr(pulled.items[0]) == "_Row()"


async def test_every_chunk_has_the_same_statuses() -> None:
    """New statuses are in the dictionary of every chunk, behind the documented ones."""
    ids = range(1, 2 * ROWS_PER_BATCH + 1)
    contacts = [contact(number, status=f"new {number % 3}") for number in ids]
    async with client(*contacts) as burki:
        status: Any = (await burki.contacts(42).to_arrow())["status"]
    assert status.num_chunks == 2
    for chunk in status.chunks:
        assert chunk.dictionary.to_pylist()[8:] == ["new 1", "new 2", "new 0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 2**63}, f"contact {2**63}: its id is beyond int64"),
        ({"id": -(2**70)}, f"contact {-(2**70)}: its id is beyond int64"),
        ({"attempts": 2**31}, "contact 2: its attempts is beyond int32"),
    ],
)
@pytest.mark.parametrize("flatten", [False, True])
async def test_numbers_that_do_not_fit_are_named(
    change: dict[str, Any], message: str, *, flatten: bool
) -> None:
    """An id beyond int64, or attempts beyond int32, is an error that names the contact."""
    async with client(contact(2) | change) as burki:
        with pytest.raises(ResponseDecodeError, match=message) as caught:
            await burki.contacts(42).to_arrow(flatten=flatten)
        with pytest.raises(ResponseDecodeError, match=message):
            (await burki.contacts(42)).to_arrow(flatten=flatten)
    assert caught.value.problems == (message.split("its ")[1].replace(" is", ":"),)
    assert str(caught.value).endswith(". Or read the contacts as objects: `await contacts`.")


async def test_the_largest_numbers_fit() -> None:
    """The ends of int64 and of int32 are no errors."""
    async with client(contact(2**63 - 1, attempts=2**31 - 1), contact(-(2**63))) as burki:
        table = await burki.contacts(42, complete=False).to_arrow()
    assert table["id"].to_pylist() == [2**63 - 1, -(2**63)]
    assert table["attempts"].to_pylist() == [2**31 - 1, 1]


async def test_json_functions_read_the_json() -> None:
    """DuckDB and polars read values of the free-form fields, whatever these hold."""
    values = {"name": 'Zoë "Z"', "age": 2**70, "lone": "\ud800", "list": [1, None]}
    async with client(with_data(1, custom_fields=values), contact(2)) as burki:
        contacts = burki.contacts(42)
        people, frame = await contacts.to_arrow(), await contacts.to_polars()
    assert people.num_rows == 2
    read = "custom_fields->>'name', custom_fields->>'lone', custom_fields->'list'->>0"
    found: Any = duckdb.sql(f"SELECT {read} FROM people ORDER BY id")
    assert found.fetchall()[0] == ('Zoë "Z"', "\ufffd", "1")
    names = frame["custom_fields"].str.json_path_match("$.name")
    assert names.to_list() == ['Zoë "Z"', None]
    assert frame["custom_fields"].str.json_decode(pl.Struct({"lone": pl.String})).len() == 2


async def test_lone_surrogates_are_replaced() -> None:
    """Text that UTF-8 cannot encode has U+FFFD, in text, keys and flattened values."""
    values = {"k\ud800": 1, "t": "\ud800"} | {"k\udfff": 2}
    data = {"company": "a\ud800", "variable_values": values}
    async with client(contact(1, contact_data=data), with_data(2)) as burki:
        table = await burki.contacts(42).to_arrow(flatten=True)
        json_text = (await burki.contacts(42).to_arrow())["variable_values"][0].as_py()
    assert table["company"].to_pylist() == ["a\ufffd", None]
    assert table["variable_values.k\ufffd"].to_pylist() == [2, None]
    assert table["variable_values.t"].to_pylist() == ["\ufffd", None]
    assert json_text == '{"k\ufffd":1,"t":"\ufffd","k\ufffd":2}'


async def test_no_status_is_twice_in_its_dictionary() -> None:
    """Statuses that differ in lone surrogates only, which U+FFFD replaces, are one group."""
    statuses = ["\ud800", "\ufffd", "\udfff"]
    contacts = [contact(number, status=status) for number, status in enumerate(statuses, 1)]
    async with client(*contacts) as burki:
        table = await burki.contacts(42).to_arrow()
    groups = table.group_by("status").aggregate([("id", "count")])
    assert groups.to_pylist() == [{"status": "\ufffd", "id_count": 3}]


async def test_too_many_keys_of_several_batches_show_no_contact() -> None:
    """No local variable of this package holds a key or a phone number when the error is raised."""
    keys = flat_module.MAX_COLUMNS // ROWS_PER_BATCH - 1  # the first batch has few enough
    contacts = [
        with_data(number, variable_values={f"secret {number} {key}": 1 for key in range(keys)})
        for number in range(1, 2 * ROWS_PER_BATCH + 1)
    ]
    async with client(*contacts) as burki:
        with pytest.raises(ResponseDecodeError, match="different keys") as caught:
            await burki.contacts(42).to_arrow(flatten=True)
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(caught.value.__traceback__), capture_locals=True
    )
    shown = [frame.locals for frame in frames if "/_tables/" in frame.filename]
    assert shown
    assert "secret" not in str(shown)
    assert "+1555" not in str(shown)


FLAT: dict[str, tuple[list[Any], pa.DataType, list[Any]]] = {
    "text": (["a", None, ""], pa.string(), ["a", None, ""]),
    "whole": ([1, None, 2**63 - 1], pa.int64(), [1, None, 2**63 - 1]),
    "fractions": ([0.5, None], pa.float64(), [0.5, None]),
    "numbers": ([1, None, 1e20, -0.5], pa.float64(), [1.0, None, 1e20, -0.5]),
    "not exact": ([2**53 + 1, 0.5], pa.string(), [str(2**53 + 1), "0.5"]),
    "too large": ([2**63, 1], pa.string(), [str(2**63), "1"]),
    "flags": ([True, None], pa.bool_(), [True, None]),
    "mixed": ([1, "a", None, True, 1.0], pa.string(), ["1", '"a"', None, "true", "1.0"]),
    "numbers and text": ([1, 0.5, 0.5, "a"], pa.string(), ["1", "0.5", "0.5", '"a"']),
    "flags and numbers": ([True, 1], pa.string(), ["true", "1"]),
    "lists": ([[1, "a"], None, []], pa.string(), ['[1,"a"]', None, "[]"]),
    "objects": ([{"a": {}}], pa.string(), ['{"a":{}}']),
}


@pytest.mark.parametrize(("values", "kind", "expected"), FLAT.values(), ids=FLAT)
async def test_a_flat_column_has_the_type_of_its_values(
    values: list[Any], kind: pa.DataType, expected: list[Any]
) -> None:
    """The values of a key are a typed column; what has no common type is JSON text."""
    async with client(*with_values(*values)) as burki:
        table = await burki.contacts(42).to_arrow(flatten=True)
    assert table.schema.field("variable_values.key").type == kind
    assert table["variable_values.key"].to_pylist() == expected


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("values", [case[0] for case in FLAT.values()], ids=FLAT)
async def test_a_flat_table_does_not_depend_on_its_batches(values: list[Any], rows: int) -> None:
    """Small batches, conformed, are the table of one batch, without their metadata."""
    async with client(*with_values(*values, None)) as burki:
        everyone = await burki.contacts(42)
    starts = range(0, len(everyone), rows)
    batches = [flat_batch(everyone[start : start + rows]) for start in starts]
    schema = FlatSchema()
    for batch in batches:
        schema.add(batch.schema)
    table = pa.Table.from_batches([schema.conform(each) for each in batches], schema.schema)
    whole = everyone.to_arrow(flatten=True)
    assert table.unify_dictionaries().equals(whole, check_metadata=True)


async def test_flat_columns_are_in_order_of_field_and_first_occurrence() -> None:
    """Keys of variable_values, custom_fields and extra follow the others; only null is string."""
    first = {"custom_fields": {"b": 1, "a.x": None}, "score": 5}
    second = {"variable_values": {"z": 1, "y": None}, "custom_fields": {"c": 1, "b": 2}}
    async with client(with_data(1, **first), with_data(2, **second)) as burki:
        table = await burki.contacts(42).to_arrow(flatten=True)
    assert table.column_names[8:] == [
        "variable_values.z", "variable_values.y",
        "custom_fields.b", "custom_fields.a.x", "custom_fields.c", "extra.score",
    ]  # fmt: skip
    assert table["custom_fields.a.x"].type == pa.string()
    assert table["custom_fields.b"].to_pylist() == [1, 2]


@pytest.mark.parametrize("contacts", [1, 4])
async def test_too_many_flat_columns_are_an_error(
    monkeypatch: pytest.MonkeyPatch, contacts: int
) -> None:
    """More columns than the maximum are an error, of one batch and of all together."""
    monkeypatch.setattr(flat_module, "MAX_COLUMNS", 3)
    monkeypatch.setattr("aioburki._tables.table.ROWS_PER_BATCH", 1)
    keys = [f"key {number}" for number in range(4)]
    groups = [keys] if contacts == 1 else [[key] for key in keys]
    served = [
        with_data(number, variable_values=dict.fromkeys(group, 1))
        for number, group in enumerate(groups, 1)
    ]
    async with client(*served) as burki:
        with pytest.raises(ResponseDecodeError, match="more than 3 different keys"):
            (await burki.contacts(42)).to_arrow(flatten=True)
        if contacts == 4:
            assert (await burki.contacts(42, limit=3)).to_arrow(flatten=True).num_columns == 11


async def test_pandas_gets_arrow_types() -> None:
    """Every column is Arrow-backed, phone numbers stay text, and the status can be sorted."""
    async with client(contact(1), contact(2, status="queued")) as burki:
        frame = await burki.contacts(42).to_pandas()
    assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
    assert frame["phone_number"].tolist() == [contact(1)["phone_number"]] * 2
    assert frame["status"].sort_values().str.upper().tolist() == ["COMPLETED", "QUEUED"]
    assert frame["last_attempt_at"].isna().all()
    assert frame["created_at"].dt.year.tolist() == [2024, 2024]


async def test_polars_gets_exact_types() -> None:
    """Times have a zone, numbers their width, and the status is categorical."""
    async with client(contact(1)) as burki:
        frame = await burki.contacts(42).to_polars()
    assert frame.schema["created_at"] == pl.Datetime("us", "UTC")
    assert frame.schema["attempts"] == pl.Int32
    assert frame.schema["status"] == pl.Categorical
    assert frame.filter(pl.col("status") == "completed").height == 1


async def test_batches_have_a_thousand_rows() -> None:
    """Small and large pages become batches of 1,000 contacts, in order; the last has the rest."""
    async with BurkiClient(KEY, transport=Sandbox(2500).transport) as burki:
        contacts = burki.contacts(42, per_page=300)
        batches = [batch async for batch in contacts.batches()]
        table = await contacts.to_arrow()
    assert [batch.num_rows for batch in batches] == [1000, 1000, 500]
    assert pa.Table.from_batches(batches, SCHEMA).unify_dictionaries().equals(table)


@pytest.mark.parametrize("end", ["break", "aclose", "cancel"])
async def test_batches_that_end_early_leave_nothing(end: str) -> None:
    """After a break, aclose or cancellation no task is left, and few pages were requested."""
    sandbox = Sandbox(60_000, latency=0.1)
    async with BurkiClient(KEY, transport=sandbox.transport) as burki:
        batches = burki.contacts(42).batches()
        if end == "cancel":
            task = asyncio.ensure_future(burki.contacts(42).to_arrow())
            await asyncio.sleep(0.35)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif end == "aclose":
            await anext(batches)
            await batches.aclose()
        else:
            async for _ in batches:
                break
            del batches
            await asyncio.sleep(0.01)
        assert not burki._running
        assert len(asyncio.all_tasks()) == 1
    assert sandbox.requests < 50


@pytest.mark.parametrize("flatten", [False, True])
async def test_columns_are_made_in_separate_turns(
    monkeypatch: pytest.MonkeyPatch, *, flatten: bool
) -> None:
    """At most 1,000 rows become a batch, or are conformed, in one turn of the loop."""
    turn = count_turns(monkeypatch)
    made: list[tuple[int, int]] = []
    make, conform = flat_module._flat_batch, FlatSchema.conform

    def record(what: Callable[..., Any], rows_of: Callable[..., int]) -> Callable[..., Any]:
        def recording(*args: Any) -> Any:
            made.append((turn[0], rows_of(args[-1])))
            return what(*args)

        return recording

    if flatten:
        monkeypatch.setattr(flat_module, "_flat_batch", record(make, len))
        monkeypatch.setattr(FlatSchema, "conform", record(conform, lambda batch: batch.num_rows))
    else:
        monkeypatch.setattr(batch_module, "plain_columns", record(batch_module.plain_columns, len))
    async with client(*(contact(number) for number in range(3500))) as burki:
        await burki.contacts(42).to_arrow(flatten=flatten)
    assert len(made) == len({turn for turn, _ in made}) == (8 if flatten else 4)
    assert max(rows for _, rows in made) <= ROWS_PER_BATCH


TO_TABLE: dict[str, Callable[[Contacts | ContactList], Any]] = {
    "pyarrow": lambda contacts: contacts.to_arrow(),
    "pandas": lambda contacts: contacts.to_pandas(),
    "polars": lambda contacts: contacts.to_polars(),
}


@pytest.fixture(params=["pyarrow", "pandas", "polars"])
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Hide a package, as if it were not installed."""
    package: str = request.param
    for name in [*sys.modules]:
        if name.startswith(("aioburki._tables", f"{package}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("aioburki._tables", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    return package


async def test_a_missing_package_is_named_before_the_pull(missing: str) -> None:
    """The error says what to install, before anything is sent, of a pull and of a list."""
    server = ListServer([1])
    install = "pip install " + ("'aioburki[arrow]'" if missing == "pyarrow" else missing)
    async with BurkiClient(KEY, transport=server.transport) as burki:
        with pytest.raises(ModuleNotFoundError) as caught:
            await TO_TABLE[missing](burki.contacts(42))
        assert str(caught.value).endswith(install)
        assert caught.value.name == missing
        if missing == "pyarrow":
            with pytest.raises(ModuleNotFoundError, match="arrow"):
                await anext(burki.contacts(42).batches())
    assert server.asked == []
    with pytest.raises(ModuleNotFoundError) as caught:
        TO_TABLE[missing](ContactList())
    assert str(caught.value).endswith(install)


async def test_another_missing_module_is_not_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is missing inside a package raises its own error."""
    error = ModuleNotFoundError("No module named 'dateutil'", name="dateutil")

    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(_extras, "import_module", fail)
    with pytest.raises(ModuleNotFoundError) as caught:
        _extras.require("pandas")
    assert caught.value is error


async def test_packages_are_imported_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first import does not hold the event loop; later ones need no thread."""
    threads: list[threading.Thread] = []
    monkeypatch.setattr(
        _extras, "import_module", lambda _: threads.append(threading.current_thread())
    )
    await _extras.require_in_thread("json", "asyncio")
    assert threads == []
    await _extras.require_in_thread("json", "aioburki_of_tomorrow")
    assert len(threads) == 2
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("flatten", [0, "yes", None])
async def test_flatten_is_true_or_false(flatten: Any) -> None:
    """Anything else for ``flatten`` is an error before anything is sent."""
    server = ListServer([1])
    async with BurkiClient(KEY, transport=server.transport) as burki:
        with pytest.raises(ValueError, match="flatten"):
            await burki.contacts(42).to_arrow(flatten=flatten)
    with pytest.raises(ValueError, match="flatten"):
        ContactList().to_arrow(flatten=flatten)
    assert server.asked == []
