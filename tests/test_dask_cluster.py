"""Dask on a real cluster of two processes, against the sandbox over HTTP."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from distributed import Client, LocalCluster
from pages import KEY, PASSWORD
from redis_url import redis_url
from served import served

from aioburki import BurkiError, ConfigurationError
from aioburki.dask import read_contacts as typed_read_contacts
from aioburki.sandbox import Sandbox

read_contacts: Any = typed_read_contacts  # its frames have no types
start_cluster: Any = LocalCluster
start_client: Any = Client

# The lines that only workers run are covered in one process, by test_dask.
pytestmark = [pytest.mark.long, pytest.mark.no_cover]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start two workers, whose environment has the key; yield their client."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    environment = {"BURKI_API_KEY": KEY}
    with start_cluster(**options, env=environment) as cluster, start_client(cluster) as client:
        yield client


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURKI_API_KEY", "another-key-of-this-process")


def test_each_lasting_contact_comes_once(cluster: Any) -> None:
    """100,000 contacts of a list that moves, over HTTP with faults, are each there once."""
    sandbox = Sandbox(100_000, faults=0.05, id_gaps=True, drift={"delete": 2, "append": 1})
    before = set(sandbox.ids())
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=20_000, base_url=url)
        ids = frame["id"].compute()
        assert len(cluster.has_what()) == 2
    assert frame.npartitions == 5
    assert ids.is_unique
    lasting = before.intersection(sandbox.ids())
    assert len(lasting) > 99_000
    assert lasting <= set(ids)


def test_failed_partition_is_retried_by_dask(cluster: Any) -> None:
    """The error of a partition names it; with `retries` Dask reads it again."""
    with served(Sandbox(4_000, faults={"500": 0.3})) as url:
        frame = read_contacts(42, contacts_per_partition=1_000, base_url=url, attempts=4)
        assert len(frame.compute(retries=20)) == 4_000
    sandbox = Sandbox(4_000)
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=1_000, base_url=url, attempts=1)
        sandbox.is_down = True
        with pytest.raises(BurkiError, match=r"in the partition of the contacts .* \(campaign 42"):
            frame.compute()


def test_cancelled_computation_ends_its_requests(cluster: Any) -> None:
    """After Future.cancel the workers send no further request, and take the next task."""
    sandbox = Sandbox(100_000, latency=0.2)
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=50_000, base_url=url, concurrency=1)
        planned = sandbox.requests
        future = cluster.compute(frame)
        while sandbox.requests < planned + 4:
            time.sleep(0.05)
        future.cancel()
        with pytest.raises(CancelledError):
            future.result()
        assert cluster.submit(os.getpid).result()  # when a worker has ended its pull
        while any(cluster.processing().values()):
            time.sleep(0.05)
        assert sandbox.requests < planned + 50


def test_workers_read_their_own_environment(cluster: Any) -> None:
    """The URL, like the key, is that of the worker; one of another server is refused."""
    sandbox = Sandbox(2_500)
    with served(sandbox) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURKI_BASE_URL", url)
        frame = read_contacts(42)
        with pytest.raises(ConfigurationError, match=r"this worker reads from https://api\.burki"):
            frame.compute()
        cluster.run(exec, f"import os; os.environ['BURKI_BASE_URL'] = {url!r}")
        try:
            assert len(read_contacts(42).compute()) == 2_500
        finally:
            cluster.run(exec, "import os; del os.environ['BURKI_BASE_URL']")


def test_workers_share_one_rate(cluster: Any) -> None:
    """With `shared_rate` both workers and this process keep to one rate, by a real server."""
    sandbox = Sandbox(60_000, rate=25)
    with served(sandbox) as url, redis_url() as redis, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURKI_REDIS_URL", redis)
        cluster.run(exec, f"import os; os.environ['BURKI_REDIS_URL'] = {redis!r}")
        began = time.monotonic()
        frame = read_contacts(42, contacts_per_partition=15_000, base_url=url, shared_rate=20)
        blob = pickle.dumps(frame.__dask_graph__())
        ids = frame["id"].compute()
        seconds = time.monotonic() - began
    assert sorted(ids) == sandbox.ids()
    assert (sandbox.requests - 1) / seconds <= 20.5
    assert redis.encode() not in blob
    assert PASSWORD.encode() not in blob


def test_partition_of_a_lost_worker_is_read_again(cluster: Any) -> None:
    """A worker that dies during its pull costs no contact."""
    sandbox = Sandbox(20_000, latency=0.1)
    with served(sandbox) as url:
        frame = read_contacts(42, contacts_per_partition=10_000, base_url=url, concurrency=1)
        planned = sandbox.requests
        future = cluster.compute(frame["id"])
        while sandbox.requests < planned + 6:
            time.sleep(0.05)
        address = next(iter(cluster.processing()))
        cluster.run(os._exit, 1, workers=[address], on_error="ignore")
        assert sorted(future.result()) == sandbox.ids()
