"""Each private attribute of httpx and httpcore that the package sets, and who may set them."""

from __future__ import annotations

import ast
import ssl
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Self

import httpcore
import httpx
import pytest

import aioburki
from aioburki._http import OwnClient, PoolTransport
from aioburki._http.internals import set_inner_connection

pytestmark = pytest.mark.asyncio

PACKAGE = Path(aioburki.__file__).parent
ORIGIN = httpcore.Origin(b"https", b"api.burki.dev", 443)


class RecordingPool:
    """A pool that records what `httpx.AsyncHTTPTransport` calls on it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        self.calls.append(request.url.target.decode())
        return httpcore.Response(200, content=b"{}")

    async def aclose(self) -> None:
        self.calls.append("aclose")

    async def __aenter__(self) -> Self:
        self.calls.append("enter")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.calls.append("exit")


class RecordingConnection(httpcore.AsyncConnectionInterface):
    """A connection that records the requests that it gets."""

    def __init__(self) -> None:
        self.requests: list[httpcore.Request] = []

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        self.requests.append(request)
        return httpcore.Response(200)


async def test_transport_sends_over_its_pool_and_closes_it() -> None:
    """The transport of httpx uses the pool in `_pool`, and only that."""
    pool = RecordingPool()
    async with OwnClient(PoolTransport(pool)) as http:
        assert (await http.get("https://api.burki.dev/x?y=1")).content == b"{}"
    assert pool.calls == ["enter", "/x?y=1", "exit"]
    await PoolTransport(pool).aclose()
    assert pool.calls[3:] == ["aclose"]


async def test_transport_has_what_httpx_would_have_set() -> None:
    """`_pool` is the only attribute that httpx's own `__init__` sets."""
    usual = httpx.AsyncHTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert vars(usual).keys() == vars(PoolTransport(RecordingPool())).keys() == {"_pool"}
    assert isinstance(usual._pool, httpcore.AsyncConnectionPool)


async def test_transport_inherits_its_methods() -> None:
    """No method of httpx's transport is overridden, so that tools may patch them on the class."""
    methods = {name for name, value in vars(PoolTransport).items() if callable(value)}
    assert methods == {"__init__"}


async def test_connection_passes_requests_to_the_inner_one() -> None:
    """The connection of httpcore uses the one in `_connection`, which is None before."""
    connection, inner = httpcore.AsyncHTTPConnection(ORIGIN), RecordingConnection()
    assert connection._connection is None
    set_inner_connection(connection, inner)
    request = httpcore.Request("GET", "https://api.burki.dev/")
    assert (await connection.handle_async_request(request)).status == 200
    assert inner.requests == [request]


async def test_connection_takes_no_lock() -> None:
    """A request reaches the inner connection without suspending the task for httpcore's lock."""
    connection = httpcore.AsyncHTTPConnection(ORIGIN)
    assert "_request_lock" in vars(connection)
    set_inner_connection(connection, RecordingConnection())
    assert isinstance(connection._request_lock, nullcontext)
    request = httpcore.Request("GET", "https://api.burki.dev/")
    with pytest.raises(StopIteration):  # it ends at the first step, without any await
        connection.handle_async_request(request).send(None)


async def test_no_cookie_is_kept_and_no_urllib_request_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The jar that httpx asks, in `cookies`, ignores Set-Cookie and costs nothing."""
    monkeypatch.delattr(httpx.Cookies, "_CookieCompatRequest")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"set-cookie": "a=b"}))
    async with OwnClient(transport) as http:
        for _ in range(2):
            response = await http.send(httpx.Request("GET", "https://api.burki.dev/"))
            assert "cookie" not in response.request.headers
        assert not list(http.cookies.jar)


def subclasses_of_foreign() -> Iterator[tuple[str, set[str]]]:
    """Yield base class and private attributes of each class derived from one of httpx or httpcore.

    Not of those in `internals`, which may use the base class's own.
    """
    for path in PACKAGE.rglob("*.py"):
        if path.name == "internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            for base in map(ast.unparse, node.bases):
                if base.startswith(("httpx.", "httpcore.")):
                    yield base, set(private_attributes(node))


def private_attributes(node: ast.ClassDef) -> Iterator[str]:
    """Yield each name that the class uses as ``self._name``."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and ast.unparse(each) == f"self._{each.attr[1:]}":
            yield each.attr


async def test_private_attributes_are_used_in_one_module() -> None:
    """Outside of `internals` no subclass uses a private attribute of its base class."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    instances = {
        "httpx.AsyncClient": httpx.AsyncClient(verify=context),
        "httpx.AsyncBaseTransport": httpx.AsyncBaseTransport(),
        "httpx.Cookies": httpx.Cookies(),
        "httpx.AsyncByteStream": httpx.AsyncByteStream(),
        "httpcore.AsyncHTTPConnection": httpcore.AsyncHTTPConnection(ORIGIN),
        "httpcore.AsyncConnectionInterface": httpcore.AsyncConnectionInterface(),
    }
    found = list(subclasses_of_foreign())
    assert {"httpx.AsyncClient", "httpcore.AsyncHTTPConnection"} <= {base for base, _ in found}
    for base, attributes in found:
        assert not attributes & set(dir(instances[base])), base


async def test_no_private_module_is_imported() -> None:
    """No module imports or names a private module of httpx or httpcore."""
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for name in ("httpx._", "httpcore._"):
            assert name not in source, path
