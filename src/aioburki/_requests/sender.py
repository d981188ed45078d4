"""Sender: send the GET request for one window of the list through `httpx.AsyncClient.send`."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode

import httpx

from .._endpoint import ListQuery
from .._http import ECHO, SEND_OBSERVER, SendObserver
from .._page import PageWindow
from .._settings import Settings
from .._version import __version__
from .route import Route

# A new attempt retries a lost SYN packet sooner than TCP does.
CONNECT_SECONDS = 10.0

PRODUCT = f"aioburki/{__version__} Python/{'.'.join(map(str, sys.version_info[:3]))}"

_NO_BODY = httpx.ByteStream(b"")


class Sender:
    """Send requests over one `httpx.AsyncClient`, without redirects and without its `auth`.

    Args:
        settings: server, API key and what is added to the User-Agent.
        http: sends the requests; an attribute too.
        route: how they reach the server.
        merges_defaults: whether the headers, parameters and cookies of *http* are added to each
            request: True for a client of the user's.
        survives_cancellation: whether a request may be cancelled in the task that sends it. False
            if the transport may be httpx's own, which then loses a connection.
    """

    def __init__(
        self,
        settings: Settings,
        http: httpx.AsyncClient,
        route: Route,
        *,
        merges_defaults: bool = False,
        survives_cancellation: bool = False,
    ) -> None:
        self.route = route
        self.survives_cancellation = survives_cancellation
        self._base_url = settings.base_url
        self.http = http
        self._merges_defaults = merges_defaults
        self._headers = httpx.Headers(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": _user_agent(settings.user_agent_suffix),
                # The one place where the key is put on a request.
                "Authorization": f"Bearer {settings.api_key.value}",
            }
        )
        host = (b"Host", route.url.netloc)
        self._all_headers = httpx.Headers(
            [host, (b"Connection", b"keep-alive"), *self._headers.raw]
        )

    @property
    def is_closed(self) -> bool:
        """Return whether the client is closed."""
        return self.http.is_closed

    async def send(
        self, query: ListQuery[Any], window: PageWindow, observer: SendObserver, seconds: float
    ) -> httpx.Response:
        """Send the request and return the response, its body unread; it must be closed.

        *observer* learns when the request is sent, if the transport tells that. *seconds* is the
        longest time for a connection, `CONNECT_SECONDS` at most.

        Raises:
            httpx.HTTPError: there is no response.
            RuntimeError: the client is closed, or is in use on another event loop.
        """
        # `auth=None`, or a user's client would replace the key by its own credentials.
        request = self._request(query, window, observer, min(CONNECT_SECONDS, seconds))
        return await self.http.send(request, stream=True, auth=None, follow_redirects=False)

    async def aclose(self) -> None:
        """Close the client, its transport and their connections."""
        await self.http.aclose()

    def _request(
        self, query: ListQuery[Any], window: PageWindow, observer: SendObserver, connect: float
    ) -> httpx.Request:
        if self._merges_defaults:
            return self.http.build_request(
                "GET",
                self._base_url + query.path,
                params=query.parameters(window),
                headers=self._headers,
                timeout=httpx.Timeout(None, connect=connect),
            )
        # The same as `build_request` makes if there is nothing to merge, in a third of the time,
        # since that parses the URL twice. httpx copies the headers: tools add to them.
        request = httpx.Request(
            "GET",
            f"{self._base_url}{query.path}?{urlencode(query.parameters(window))}",
            headers=self._all_headers,
            stream=_NO_BODY,
            extensions={
                "timeout": httpx.Timeout(None, connect=connect).as_dict(),
                ECHO: window,
                SEND_OBSERVER: observer,
            },
        )
        request.read()
        return request


def _user_agent(suffix: str | None) -> str:
    return PRODUCT if suffix is None else f"{PRODUCT} {suffix}"
