"""Route: how requests reach the server, and what to do if it cannot be reached that way."""

from __future__ import annotations

import attrs
import httpx

from .._http import proxy_variable


@attrs.frozen
class Route:
    """How requests reach the server.

    Attributes:
        url: the base URL.
        is_own: whether the package opens the connections, not a client or transport of the user's.
        trusts_env: whether proxies and certificates of the environment are used.
    """

    url: httpx.URL = attrs.field(converter=httpx.URL)
    is_own: bool = False
    trusts_env: bool = False

    @property
    def host(self) -> str:
        """Return the host of the server, for messages."""
        return self.url.host

    @property
    def certificate_advice(self) -> str:
        """Return what to do if the issuer of the certificate is to be trusted."""
        if not self.is_own:
            return "to trust its issuer, give your http_client or transport a `verify` that does"
        context = "pass verify=ssl.create_default_context(cafile=…)"
        if self.trusts_env:
            return f"to trust its issuer, {context}, or name its certificate in SSL_CERT_FILE"
        return (
            f"to trust its issuer, {context}, or trust_env=True to use SSL_CERT_FILE and the "
            "proxies of the environment"
        )

    @property
    def client_certificate_advice(self) -> str:
        """Return how to give the server a client certificate."""
        whose = "an ssl.SSLContext, and pass it as verify=" if self.is_own else "its SSL context"
        return f"load one with load_cert_chain into {whose}"

    @property
    def connect_advice(self) -> str:
        """Return what to say of the proxy that the environment names; empty if it names none."""
        if not self.is_own or (variable := proxy_variable(self.url)) is None:
            return ""
        if self.trusts_env:
            return f", through the proxy that {variable} names"
        return f"; {variable} is set, but not used: pass trust_env=True to use that proxy"
