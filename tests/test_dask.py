"""Dask: campaigns as a data frame, on Dask's scheduler for one thread; see test_dask_cluster."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import dask
import pytest
from canaries import traces
from dask.base import compute as dask_compute
from distributed import Client, LocalCluster, Reschedule
from pages import KEY
from redis import Redis
from redis_url import redis_url
from served import Campaigns, FreeForm, served

from aioburki import (
    BurkiClient,
    ConfigurationError,
    ContactRange,
    ContactStatus,
    IncompletePullError,
    LimiterError,
    NotFoundError,
    ResponseDecodeError,
    ServerError,
    UnorderedListError,
)
from aioburki.dask import _clients, _plan, _task
from aioburki.dask import read_contacts as typed_read_contacts
from aioburki.sandbox import Sandbox

read_contacts: Any = typed_read_contacts  # its frames have no types
start_cluster: Any = LocalCluster
start_client: Any = Client
compute: Any = dask_compute
FAILED = ContactStatus.FAILED

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run tasks in the thread that computes, with the key in the environment."""
    monkeypatch.setenv("BURKI_API_KEY", KEY)
    with dask.config.set(scheduler="sync"):
        yield


def pulled(frame: Any) -> list[int]:
    """Return the ids of a frame, in its order."""
    return [int(each) for each in frame["id"].compute()]


def to_pandas(url: str, **arguments: Any) -> Any:
    """Return campaign 42 as `to_pandas` returns it."""

    async def main() -> Any:
        async with BurkiClient(base_url=url) as burki:
            return await burki.contacts(42).to_pandas(**arguments)

    return asyncio.run(main())


def parts_of(url: str, n: int) -> list[ContactRange]:
    async def main() -> list[ContactRange]:
        async with BurkiClient(base_url=url) as burki:
            return await burki.contacts(42).split(n)

    return asyncio.run(main())


def test_frame_is_the_campaign() -> None:
    """All contacts come in order, as to_pandas has them, in partitions of the size asked for."""
    sandbox = Sandbox(2_500)
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=1_000, base_url=url)
        assert frame.npartitions == 3
        assert sandbox.requests == 1 + 3  # the count, and a range each
        whole = frame.compute().reset_index(drop=True)
        assert whole.equals(to_pandas(url))
        assert list(whole["id"]) == sandbox.ids()
        assert {len(part) for part in compute(*frame.to_delayed())} == {833, 834}


@pytest.mark.parametrize(("flatten", "convert"), [(False, True), (True, False)])
def test_partitions_have_one_schema(flatten: bool, convert: bool) -> None:
    """Whatever statuses occur, and if a partition is empty, the types are those of to_pandas."""
    sandbox = Sandbox(1_800)
    with served(sandbox) as url, dask.config.set({"dataframe.convert-string": convert}):
        expected = to_pandas(url, flatten=flatten).dtypes
        frame = read_contacts(42, contacts_per_partition=600, flatten=flatten, base_url=url)
        sandbox.remove(*sandbox.ids()[600:1_200])
        parts = compute(*frame.to_delayed())
        assert [len(part) for part in parts] == [600, 0, 600]
        for types in (frame.dtypes, frame.compute().dtypes, *(part.dtypes for part in parts)):
            assert types.equals(expected)


@pytest.mark.parametrize("flatten", [False, True])
def test_empty_campaign_is_an_empty_frame(flatten: bool) -> None:
    """A campaign without contacts is one partition without rows, of the same types."""
    with served(Sandbox(0)) as url:
        frame = read_contacts(42, flatten=flatten, base_url=url)
        whole = frame.compute()
        assert whole.empty
        assert whole.dtypes.equals(to_pandas(url, flatten=flatten).dtypes)
        assert whole.dtypes.equals(frame.dtypes)


def test_status_is_a_query_parameter() -> None:
    """The server filters by the status, also when contacts are counted and divided."""
    sandbox = Sandbox(30_000)
    campaigns = Campaigns(sandbox)
    with served(campaigns) as url:
        frame = read_contacts(42, status=FAILED, contacts_per_partition=1_000, base_url=url)
        assert frame.npartitions == -(-len(sandbox.ids("failed")) // 1_000) > 1
        assert pulled(frame) == sandbox.ids("failed")
    assert {query["status"] for query in campaigns.queries} == {"failed"}


def test_campaigns_are_read_one_after_the_other() -> None:
    """Numbers, ranges and their texts can be mixed; each is divided by its size."""
    first, second = Sandbox(3_300, campaign_id=42), Sandbox(1_400, campaign_id=43)
    with served(Campaigns(first, second)) as url:
        parts = parts_of(url, 3)
        frame = read_contacts(
            (each for each in [str(parts[2]), 43, parts[0]]),
            contacts_per_partition=600,
            base_url=url,
        )
        assert frame.npartitions == 2 + 3 + 2
        assert pulled(frame) == [*first.ids()[2_200:], *second.ids(), *first.ids()[:1_100]]
        assert pulled(read_contacts(str(parts[1]), base_url=url)) == first.ids()[1_100:2_200]
        assert pulled(read_contacts(parts[1], base_url=url)) == first.ids()[1_100:2_200]


@pytest.mark.parametrize(
    "again",
    [
        lambda parts: [42, 42],
        lambda parts: [42, parts[1]],
        lambda parts: [parts[0], str(parts[0])],
        lambda parts: [
            parts[0],
            ContactRange(server=parts[0].server, campaign_id=42, status=FAILED),
        ],
    ],
)
def test_campaign_that_is_given_twice_is_refused(again: Any) -> None:
    """What would deliver contacts twice is an error before any request."""
    sandbox = Sandbox(1_500)
    with served(sandbox) as url:
        parts = parts_of(url, 3)
        sandbox.requests = 0
        with pytest.raises(ConfigurationError, match="campaign 42 is given more than once"):
            read_contacts(again(parts), base_url=url)
        assert sandbox.requests == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"api_key": KEY}, r"takes no api_key=: each worker reads the key from its own BURKI_API"),
        ({"http_client": None}, "takes no http_client=: it cannot be sent to the workers"),
        ({"transport": None}, "takes no transport=: it cannot be sent"),
        ({"on_event": print}, "takes no on_event=: it cannot be sent"),
        ({"verify": None}, "takes no verify=: .*SSL_CERT_FILE"),
        ({"limiter": None}, "takes no limiter=: .*shared_rate="),
        ({"campaigns": []}, "campaigns is empty"),
        ({"campaigns": 1.5}, "campaigns must be a campaign's number, a range, or several"),
        ({"campaigns": [42, 0]}, "campaign_id must be a whole number of at least 1"),
        ({"campaigns": "42"}, "give it as an int"),
        ({"status": "faild"}, "did you mean 'failed'"),
        ({"contacts_per_partition": 0}, "contacts_per_partition must be"),
        ({"flatten": 1}, "flatten must be True or False"),
        ({"shared_rate": 0}, "shared_rate must be None or"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"columns": {}}, "columns= is for flatten=True"),
        ({"campaigns": b"42"}, "campaigns must be a campaign's number, a range, or several"),
        ({"flatten": True, "columns": ["extra.a"]}, "columns must be a mapping of names to types"),
        ({"flatten": True, "columns": {"name": "string"}}, "begin with one of variable_values.,"),
        ({"flatten": True, "columns": {"extra": "string"}}, "begin with one of variable_values.,"),
        ({"flatten": True, "columns": {1: "string"}}, "begin with one of variable_values.,"),
        ({"flatten": True, "columns": {"extra.a": "text"}}, "must be one of bool, int64, double,"),
    ],
)
def test_wrong_argument_is_refused(arguments: dict[str, Any], words: str) -> None:
    """An argument that cannot be used is an error that says why, before any request."""
    arguments = {"campaigns": 42} | arguments
    with pytest.raises(ConfigurationError, match=words):
        read_contacts(arguments.pop("campaigns"), **arguments)


def in_order(order: str, *places: int | None, status: ContactStatus | None = None) -> ContactRange:
    """Return a range of campaign 42 between two ids, or two times and ids."""
    keys = [
        (datetime(2026, 1, each, tzinfo=UTC), 1) if each and "," in order else each
        for each in places
    ]
    return ContactRange(
        server="https://api.burki.dev",
        campaign_id=42,
        status=status,
        order=order,
        after=keys[0],
        until=keys[1],
        end=5,
    )


@pytest.mark.parametrize(("order", "turn"), [("id", 1), ("-id", -1), ("-created_at,id", -1)])
@pytest.mark.parametrize(
    ("ranges", "is_refused"),
    [
        ([(None, 9), (3, 6)], True),
        ([(3, None), (6, 9)], True),
        ([(6, None), (3, 7)], True),
        ([(3, 6), (1, 9)], True),
        ([(6, None), (None, 3), (3, 6)], False),
    ],
)
def test_ranges_that_overlap_are_refused(
    order: str, turn: int, ranges: list[tuple[int | None, int | None]], is_refused: bool
) -> None:
    """Ranges of one campaign are refused if they have keys in common, and only then."""
    parts = [in_order(order, *each) for each in (pair[::turn] for pair in ranges)]
    if is_refused:
        with pytest.raises(ConfigurationError, match="give disjoint ranges"):
            _plan._check_overlaps(parts)
    else:
        _plan._check_overlaps(parts)


def test_ranges_of_different_statuses_are_disjoint() -> None:
    """A range of a status overlaps with those of it and of all statuses only."""
    failed, busy = (in_order("id", 3, 9, status=each) for each in (FAILED, ContactStatus.BUSY))
    _plan._check_overlaps([failed, busy, in_order("id", 9, None)])
    with pytest.raises(ConfigurationError, match="more than once"):
        _plan._check_overlaps([failed, busy, in_order("id", 1, 4)])


def test_every_option_of_the_client_is_typed() -> None:
    """What BurkiClient takes is either passed on or refused with a reason."""
    arguments = set(inspect.signature(BurkiClient).parameters)
    assert set(_clients.ClientOptions.__annotations__) == arguments - set(_clients._REFUSED)


def test_unknown_option_is_refused() -> None:
    """An option that BurkiClient does not have raises TypeError, as there."""
    with pytest.raises(TypeError, match="colour"):
        read_contacts(42, colour="red")


@pytest.mark.parametrize("flatten", [False, True])
def test_graph_holds_no_environment(monkeypatch: pytest.MonkeyPatch, flatten: bool) -> None:
    """Neither the key nor the URL of the environment is in a graph, its keys or its texts."""
    with served(Sandbox(1_500)) as url:
        monkeypatch.setenv("BURKI_BASE_URL", url)
        frame = read_contacts(42, contacts_per_partition=500, flatten=flatten)
        graph = frame.__dask_graph__()
        texts = [pickle.dumps(each) for each in (graph, frame, frame.optimize())]
        texts += [repr(each).encode() for each in (graph, frame, frame.expr, frame.dask)]
        texts += [str(each).encode() for each in graph]
    assert all(len(text) for text in texts)
    for secret in (KEY, url, url.rpartition("//")[2]):
        assert not [text for text in texts if secret.encode() in text]


def test_readings_share_no_result() -> None:
    """The tasks of two readings of one campaign have different keys, since the list may differ."""
    with served(Sandbox(10)) as url:
        one, other = (read_contacts(42, base_url=url) for _ in range(2))
        assert not set(one.__dask_graph__()) & set(other.__dask_graph__())


@pytest.mark.parametrize(
    ("order", "place"),
    [
        ("id", r"contacts after \d+ up to \d+ by id"),
        ("-id", r"contacts after \d+ up to \d+ by -id"),
    ],
)
def test_error_names_campaign_and_range(order: Any, place: str) -> None:
    """The error of a partition says which campaign and which range it is, also when pickled."""
    sandbox = Sandbox(1_500, order=order)
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=500, base_url=url, attempts=1)
        sandbox.is_down = True
        with pytest.raises(ServerError, match=f"503, in the partition of the {place}") as caught:
            frame.get_partition(1).compute()
    assert caught.value.campaign_id == 42
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_error_names_times_and_status() -> None:
    """A range between times, of a status, and a whole campaign are named as what they are."""
    sandbox = Sandbox(0)
    with served(sandbox) as url:
        part = ContactRange(
            server=url,
            campaign_id=42,
            status=FAILED,
            order="created_at,id",
            until=(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 7),
            end=5,
        )
        frames = [read_contacts(each, base_url=url, attempts=1) for each in (part, 42)]
        sandbox.is_down = True
        words = [
            r"contacts of status failed up to 2026-01-02 03:04:05\+00:00 7 by created_at,id",
            r"all contacts \(campaign 42",
        ]
        for frame, text in zip(frames, words, strict=True):
            with pytest.raises(ServerError, match=text):
                frame.compute()


def test_partition_that_is_not_proved_complete_is_an_error() -> None:
    """Contacts may be missing, so the frame fails instead of being short."""
    with served(Sandbox(2_500, order="ties")) as url:
        with pytest.raises(UnorderedListError, match="campaign 42"):
            read_contacts(42, contacts_per_partition=1_000, base_url=url)
        frame = read_contacts(42, base_url=url)
        with pytest.raises(IncompletePullError, match="all contacts") as caught:
            frame.compute()
        assert caught.value.campaign_id == 42


def test_unknown_campaign_is_an_error() -> None:
    """A campaign that does not exist is the server's 404."""
    with served(Sandbox(10)) as url:
        with pytest.raises(NotFoundError, match="Campaign not found"):
            read_contacts([42, 7], base_url=url)


def test_worker_of_another_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose environment names another server reads nothing from it."""
    other = Sandbox(10)
    with served(Sandbox(10)) as url, served(other) as elsewhere:
        monkeypatch.setenv("BURKI_BASE_URL", url)
        frame = read_contacts(42)
        monkeypatch.setenv("BURKI_BASE_URL", elsewhere)
        with pytest.raises(ConfigurationError, match="this worker reads from http://127"):
            frame.compute()
    assert other.requests == 0


@pytest.mark.asyncio
@pytest.mark.usefixtures("nothing_left")
async def test_notebook_reads_and_computes() -> None:
    """It is a plain function, and so are its tasks, also in a thread whose event loop runs."""
    sandbox = Sandbox(1_500)
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=500, base_url=url)
        assert pulled(frame) == sandbox.ids()
        with pytest.raises(NotFoundError):
            read_contacts(7, base_url=url)


def test_interrupt_in_a_notebook_ends_the_requests() -> None:
    """Ctrl-C while a thread works for a notebook's cell cancels its coroutine, and waits."""
    seen: list[str] = []
    main_thread = threading.get_ident()

    async def work() -> None:
        await asyncio.sleep(0.1)
        signal.pthread_kill(main_thread, signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("cancelled")

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            _task.run(work)
        seen.append("raised")

    loop = asyncio.new_event_loop()  # asyncio.run would take the signal for itself
    loop.run_until_complete(cell())
    loop.close()
    assert seen == ["cancelled", "raised"]


def test_interrupt_before_the_thread_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the coroutine has begun cancels it when it begins."""
    gate = threading.Event()
    seen: list[str] = []

    class Interrupted(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **named: Any) -> Any:
            super().submit(gate.wait)
            super().submit(fn, *args, **named)
            raise KeyboardInterrupt

        def shutdown(self, *args: Any, **named: Any) -> None:
            gate.set()
            super().shutdown(*args, **named)

    async def work() -> None:
        await asyncio.sleep(0)
        seen.append("worked")

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            _task.run(work)

    monkeypatch.setattr(_task, "ThreadPoolExecutor", Interrupted)
    asyncio.run(cell())
    assert not seen


def test_task_needs_no_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where distributed is not imported, no worker is looked for."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    wait_in_a_task(0)
    assert not ENDED


def test_only_the_columns_asked_for_are_kept() -> None:
    """Dask's selection of columns is made by the tasks that pull, not by others behind them."""
    with served(Sandbox(10)) as url:
        frame = read_contacts(42, base_url=url)[["status", "id"]]
        assert len(frame.optimize().__dask_graph__()) == frame.npartitions
        assert list(frame.compute().columns) == ["status", "id"]


def test_shared_rate_is_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is named after the API's URL; that of Redis is in no graph and no error."""
    with served(Sandbox(10)) as url:
        with pytest.raises(ConfigurationError, match="BURKI_REDIS_URL"):
            read_contacts(42, base_url=url, shared_rate=50)
        with redis_url() as redis:
            monkeypatch.setenv("BURKI_REDIS_URL", redis)
            frame = read_contacts(42, base_url=url, shared_rate=50, max_wait=0)
            assert len(frame.compute()) == 10
            with Redis.from_url(redis) as server:
                assert server.keys() == [f"aioburki:{{{url}}}".encode()]
        assert not traces(str(pickle.dumps(frame.__dask_graph__())))
        with pytest.raises(LimiterError, match="in the partition of all contacts"):
            frame.compute()


VALUES: list[dict[str, Any]] = [
    {"variable_values": {"a": 1, "b": True, "n": None}},
    {"variable_values": {"a": 2}, "custom_fields": {"c": "x"}},
    {"variable_values": {"a": 2.5, "m": 1}, "new": [1]},
    {"variable_values": {"a": 3, "m": "x"}},
]
TYPES = {
    "variable_values.a": "double",
    "variable_values.b": "bool",
    "variable_values.n": "string",
    "variable_values.m": "json",
    "custom_fields.c": "string",
    "extra.new": "json",
}


def test_flat_columns_are_found_by_a_pull_before() -> None:
    """All partitions have all columns, of the types that the values of all contacts need."""
    server = FreeForm(VALUES * 500)
    with served(server) as url:
        frame = read_contacts(42, contacts_per_partition=1_000, flatten=True, base_url=url)
        before = server.requests
        whole = frame.compute().reset_index(drop=True)
        assert whole.equals(to_pandas(url, flatten=True)[whole.columns])
        assert before > 3
        assert list(frame.columns[8:]) == list(TYPES)


def test_flat_columns_that_are_given_take_one_pull() -> None:
    """With `columns` nothing is pulled before, and the frame is the same."""
    server = FreeForm(VALUES * 500)
    types: Any = TYPES | {"extra.absent": "int64"}
    with served(server) as url:
        frame = read_contacts(
            42, contacts_per_partition=1_000, flatten=True, columns=types, base_url=url
        )
        assert server.requests == 3
        whole = frame.compute().reset_index(drop=True)
        assert whole.pop("extra.absent").isna().all()
        assert whole.equals(to_pandas(url, flatten=True)[whole.columns])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"custom_fields": {"JohnSmith": 1}}, "keys without a column, 1 at least"),
        ({"variable_values": {"b": 1}}, "'variable_values.b', a column of type bool, cannot hold"),
        ({"variable_values": {"a": "x"}}, "'variable_values.a', a column of type double, cannot"),
        ({"custom_fields": {"c": 1}}, "'custom_fields.c', a column of type string, cannot hold"),
    ],
)
def test_values_without_a_column_are_an_error(change: dict[str, Any], words: str) -> None:
    """A key or a type that came after the columns were found is lost in no frame."""
    server = FreeForm(VALUES)
    with served(server) as url:
        frame = read_contacts(42, flatten=True, base_url=url)
        server.data[1] = change
        with pytest.raises(
            ResponseDecodeError, match=f"{words}.* in the partition of all contacts"
        ):
            frame.compute()


@pytest.mark.parametrize("package", ["dask", "pandas", "pyarrow"])
def test_missing_package_is_named(package: str) -> None:
    """Without dask, or a part of it, the error names the extra; the core imports none of it."""
    script = (
        "import sys\n"
        "import aioburki, aioburki.export\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)\n"
        f"sys.modules['{package}'] = None\n"
        "import aioburki.dask\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = f"aioburki.dask needs {package}: pip install 'aioburki[dask]'\n"
    assert done.stderr.endswith(text)


ENDED: list[BaseException] = []


def wait_in_a_task(seconds: float) -> None:
    """Wait, and note how that ends; a module's function, so that it is not copied to a worker."""

    async def wait() -> None:
        await asyncio.sleep(seconds)

    try:
        _task.run(wait)
    except BaseException as error:
        ENDED.append(error)
        raise


def cancel_itself() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    try:
        _task.run(cancel)
    except asyncio.CancelledError as error:
        ENDED.append(error)


def test_task_that_is_wanted_again_is_rescheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that Dask cancels and wants again before it has ended has no result of its own."""
    answers = iter([True])
    check = lambda: lambda: next(answers, False)  # noqa: E731
    monkeypatch.setattr(_task, "_cancellation_check", check)
    with pytest.raises(Reschedule):
        _task.run(lambda: asyncio.sleep(60))


def test_task_ends_when_dask_cancels_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is cancelled on a worker ends its coroutine; one that is wanted is left alone."""
    monkeypatch.setattr(_task, "SECONDS_PER_CHECK", 0.05)
    options = {"processes": False, "n_workers": 1, "dashboard_address": ":0"}
    with start_cluster(**options) as cluster, start_client(cluster) as client:
        client.submit(wait_in_a_task, 0.2).result()
        wait_in_a_task(0)  # in a thread that is none of a worker
        assert not ENDED
        client.submit(cancel_itself).result()
        assert isinstance(ENDED.pop(), asyncio.CancelledError)
        future = client.submit(wait_in_a_task, 60)
        while not cluster.workers[0].state.executing:
            time.sleep(0.01)
        future.cancel()
        while not ENDED:
            time.sleep(0.01)
    assert isinstance(ENDED.pop(), Reschedule)
