"""What every test gets: a loop in debug mode, no leftovers, and nothing secret shown."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import trustme
from canaries import traces, watching
from faults import FaultServer
from hypothesis import HealthCheck, settings
from virtual_clock import VirtualLoop

from aioburki._http import connection_pool

# The same examples every time: a red build must mean a change, not a draw.
settings.register_profile(
    "aioburki", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("aioburki")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the loops that their markers ask for."""
    if item.get_closest_marker("virtual_clock"):
        return {"virtual": VirtualLoop}
    if item.get_closest_marker("eager_too") and sys.version_info >= (3, 12):
        return {"real": asyncio.new_event_loop, "eager": eager_loop}
    return {"real": asyncio.new_event_loop}


def eager_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that starts each task at once, which may end before it is stored anywhere."""
    loop = asyncio.new_event_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the variables away that the package reads."""
    monkeypatch.delenv("BURKI_API_KEY", raising=False)
    monkeypatch.delenv("BURKI_BASE_URL", raising=False)
    monkeypatch.delenv("BURKI_REDIS_URL", raising=False)


@pytest.fixture(autouse=True)
def canaries(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that shows a key, a phone number or a body anywhere, but where it may."""
    caplog.set_level(logging.DEBUG)
    with watching() as watch:
        yield
        findings = watch.findings(but=places_that_may_show(request.node))
    assert not findings, "\n".join(findings)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose output, as pytest has captured it, shows a canary."""
    report = yield
    if report.when == "teardown" and report.passed and "output" not in places_that_may_show(item):
        texts = [text for title, text in report.sections if "log" not in title]
        if shown := traces("\n".join(texts)):
            report.outcome = "failed"
            report.longrepr = f"{' and '.join(shown)} in what the test has printed"
    return report


def places_that_may_show(item: pytest.Item) -> tuple[str, ...]:
    """Return where *item* may show canaries, by its markers ``may_show(place, …, why=…)``."""
    return tuple(place for marker in item.iter_markers("may_show") for place in marker.args)


@pytest_asyncio.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task behind, or a line in the loop's exception handler."""
    loop = asyncio.get_running_loop()
    handled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: handled.append(context))
    yield
    for _ in range(20):  # generators left behind are closed by the loop, in a few turns
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not tasks
    assert not handled


@pytest.fixture(scope="session")
def fault_process() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.end()


@pytest.fixture
def faults(fault_process: FaultServer) -> Iterator[FaultServer]:
    """Lend the fault server, and fail a test that leaves a connection to it."""
    yield fault_process
    assert fault_process.connections_left() == 0


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make clients trust a certificate for localhost, and return its server's context."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    make = connection_pool.load_tls_context

    def trusting() -> ssl.SSLContext:
        context = make()
        authority.configure_trust(context)
        return context

    monkeypatch.setattr(connection_pool, "load_tls_context", trusting)
    return server
