"""Client: the `httpx.AsyncClient` that the package makes for itself."""

from __future__ import annotations

from typing import Any

import httpx


class OwnClient(httpx.AsyncClient):
    """`httpx.AsyncClient` that has no cookies and, by default, uses nothing from the environment.

    Args:
        transport: sends the requests; closed with the client. None: httpx's own.
        trust_env: as httpx's.
        options: further arguments of httpx's client.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        trust_env: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(transport=transport, trust_env=trust_env, **options)
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
