"""Client: the `httpx.AsyncClient` that the package makes for itself."""

from __future__ import annotations

import httpx


class OwnClient(httpx.AsyncClient):
    """`httpx.AsyncClient` that uses nothing from the environment and has no cookies.

    Args:
        transport: sends the requests; closed with the client.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=transport, trust_env=False)
        self._no_cookies = NoCookies()

    @property  # type: ignore[misc] # httpx's has a setter
    def cookies(self) -> httpx.Cookies:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a jar that stays empty."""
        return self._no_cookies


class NoCookies(httpx.Cookies):
    """A cookie jar that keeps nothing.

    A policy that refuses every cookie would do the same, but httpx would build a
    `urllib.request.Request` from each response for it, which takes as long as parsing its URL.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        """Ignore the cookies of *response*."""
