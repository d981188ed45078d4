"""Send: the GET for one window, over our own lanes or over a client of the user's."""

from __future__ import annotations

import sys
from typing import Any, Protocol
from urllib.parse import urlencode

import httpcore
import httpx

from .._http import ConnectionPool
from .._page import PageWindow
from .._settings import Settings
from .._version import __version__
from .endpoint import ListQuery

# A packet lost while connecting is repeated sooner by a new attempt than by the network.
CONNECT_SECONDS = 10.0

USER_AGENT = f"aioburki/{__version__} Python/{'.'.join(map(str, sys.version_info[:3]))}"


class Sender(Protocol):
    """Send requests; who calls bounds their number and their time."""

    @property
    def is_closed(self) -> bool:
        """Tell whether somebody else has closed what it sends over."""
        ...

    async def send(self, query: ListQuery[Any], window: PageWindow) -> httpx.Response:
        """Return the response, its body unread; it must be closed.

        Raises:
            httpx.HTTPError: there is none.
        """
        ...

    async def aclose(self) -> None:
        """Close what it sends over."""
        ...


class LaneSender:
    """Send over our own lanes, past `httpx.AsyncClient` and its requests.

    What that does to a request besides (merging, cookies, hooks, redirects) and to its
    URL is a fifth of the cost of a small page, and nothing of it is wanted here.
    """

    is_closed = False

    def __init__(self, settings: Settings, lanes: ConnectionPool) -> None:
        self._lanes = lanes
        self._server = httpx.URL(settings.base_url)
        self._path = self._server.raw_path.decode().rstrip("/")
        headers = {"Host": self._server.netloc.decode(), "Connection": "keep-alive"}
        self._headers = [
            (name.encode(), value.encode())
            for name, value in (headers | _headers(settings)).items()
        ]
        self._extensions = {"timeout": {"connect": _connect_seconds(settings)}}

    async def send(self, query: ListQuery[Any], window: PageWindow) -> httpx.Response:
        """Return the response, its body unread; it must be closed."""
        return await self._lanes.send(self._request(query, window))

    async def aclose(self) -> None:
        """Close the lanes."""
        await self._lanes.aclose()

    def _request(self, query: ListQuery[Any], window: PageWindow) -> httpcore.Request:
        server = self._server
        parameters = urlencode(query.parameters(window))
        url = httpcore.URL(
            scheme=server.raw_scheme,
            host=server.raw_host,
            port=server.port,
            target=f"{self._path}{query.path}?{parameters}".encode(),
        )
        request = httpcore.Request("GET", url, extensions=self._extensions)
        request.headers = self._headers  # one list for all of them, checked once
        return request


class ClientSender:
    """Send over an `httpx.AsyncClient` as it is, but for its redirects and its `auth`."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._timeout = httpx.Timeout(None, connect=_connect_seconds(settings))

    @property
    def is_closed(self) -> bool:
        """Tell whether the client is closed."""
        return self._http.is_closed

    async def send(self, query: ListQuery[Any], window: PageWindow) -> httpx.Response:
        """Return the response, its body unread; it must be closed."""
        request = self._http.build_request(
            "GET",
            self._settings.base_url + query.path,
            params=query.parameters(window),
            headers=_headers(self._settings),
            timeout=self._timeout,
        )
        # `auth=None`, or a user's client would put credentials of its own in the key's place.
        return await self._http.send(request, stream=True, auth=None, follow_redirects=False)

    async def aclose(self) -> None:
        """Close the client."""
        await self._http.aclose()


def _connect_seconds(settings: Settings) -> float:
    return min(CONNECT_SECONDS, settings.timeout)


def _headers(settings: Settings) -> dict[str, str]:
    return {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": USER_AGENT,
        # The one place where the key is put on a request.
        "Authorization": f"Bearer {settings.api_key.value}",
    }
