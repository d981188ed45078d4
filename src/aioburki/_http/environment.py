"""Environment: the proxies and certificates that environment variables name."""

from __future__ import annotations

import ssl
from urllib.request import getproxies_environment, proxy_bypass

import httpx

from .._errors import ConfigurationError
from .client import OwnClient
from .pooled_connection import KEEPALIVE_SECONDS


def environment_client(context: ssl.SSLContext | None, max_connections: int) -> OwnClient:
    """Return a client over httpx's own connection pools, with proxies from the environment.

    Args:
        context: for TLS; None: certificates from ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, by default
            those of certifi, which are read now.
        max_connections: how many idle connections are kept; there is no limit on open ones, since
            httpx loses connections when requests that queue for them are cancelled.

    Raises:
        ConfigurationError: a variable cannot be used. Its value, which may hold a password, is
            neither in the text nor chained.
    """
    try:
        # Once, and not for each proxy: it takes 20 ms.
        context = httpx.create_ssl_context(trust_env=True) if context is None else context
    except OSError:
        problem = "SSL_CERT_FILE or SSL_CERT_DIR names no readable file of certificates (PEM)"
    else:
        try:
            return OwnClient(trust_env=True, verify=context, limits=_limits(max_connections))
        except ImportError:
            problem = "a proxy is a SOCKS proxy, which needs one more package: pip install socksio"
        except (ValueError, TypeError, httpx.InvalidURL):
            problem = (
                "a proxy or an exception in HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY is not "
                "valid; a proxy is a URL such as http://name:password@proxy.example:3128"
            )
    raise ConfigurationError(f"trust_env=True cannot use the environment: {problem}")


def proxy_variable(url: httpx.URL) -> str | None:
    """Return the name of the variable that names a proxy for *url*, or None."""
    proxies = getproxies_environment()
    for scheme in (url.scheme, "all"):
        # Where variables name proxies, `proxy_bypass` reads NO_PROXY and nothing else.
        if proxies.get(scheme) and not proxy_bypass(url.host):
            return f"{scheme.upper()}_PROXY"
    return None


def _limits(max_connections: int) -> httpx.Limits:
    return httpx.Limits(
        max_connections=None,
        max_keepalive_connections=max_connections,
        keepalive_expiry=KEEPALIVE_SECONDS,
    )
