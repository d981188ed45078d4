"""Settings: the validated, frozen arguments of a client."""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from typing import NoReturn, SupportsIndex

import attrs
import httpx

from ._errors import ConfigurationError
from ._user_agent import user_agent_suffix as usable_suffix
from ._validation import flag, requests_per_second, seconds, shown, whole_number

DEFAULT_BASE_URL = "https://api.burki.dev"
MAX_CONCURRENCY = 1000
MAX_KEY_LENGTH = 8192
SECONDS_PER_DAY = 86_400.0

# A page of 1,000 contacts takes about 300 KB; with many imported fields a few MB.
DEFAULT_MAX_BODY = 64 * 1024 * 1024
MIN_BODY, MAX_BODY = 1024, 1024 * 1024 * 1024


class Secret:
    """API key that no `repr` and no pickle shows.

    Not an attrs class: rich and logfire read the fields of attrs classes.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "[API key]"

    def __dir__(self) -> list[str]:
        # `rich.inspect` prints the value of every name that dir() returns.
        return [name for name in super().__dir__() if name != "value"]

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key cannot be pickled or copied")


@attrs.frozen
class Settings:
    """Settings of a client; the API key is in no `repr`."""

    api_key: Secret
    base_url: str
    concurrency: int
    rate: float | None
    attempts: int
    timeout: float
    max_wait: float
    max_body: int
    pause_gc: bool
    verify: ssl.SSLContext | None
    trust_env: bool
    user_agent_suffix: str | None = None


def client_settings(
    api_key: Secret | None,
    *,
    base_url: str | None,
    concurrency: SupportsIndex,
    rate: float | None,
    attempts: SupportsIndex,
    timeout: float,
    max_wait: float,
    max_body: SupportsIndex,
    pause_gc: bool,
    verify: ssl.SSLContext | None,
    trust_env: bool,
    user_agent_suffix: str | None,
) -> Settings:
    """Return the settings for these arguments of `BurkiClient` and the environment variables.

    Raises:
        ConfigurationError: an argument or a variable is missing or cannot be used.
    """
    return Settings(
        api_key=_usable_key(api_key),
        base_url=_usable_url(base_url),
        concurrency=whole_number("concurrency", concurrency, low=1, high=MAX_CONCURRENCY),
        rate=requests_per_second("rate", rate),
        attempts=usable_attempts(attempts),
        timeout=usable_timeout(timeout),
        max_wait=usable_max_wait(max_wait),
        max_body=whole_number("max_body", max_body, low=MIN_BODY, high=MAX_BODY),
        pause_gc=flag("pause_gc", pause_gc),
        verify=_usable_context(verify),
        trust_env=flag("trust_env", trust_env),
        user_agent_suffix=usable_suffix(user_agent_suffix),
    )


def usable_attempts(attempts: SupportsIndex) -> int:
    """Return *attempts*, or raise `ConfigurationError`."""
    return whole_number("attempts", attempts, low=1, high=100)


def usable_timeout(timeout: float) -> float:
    """Return *timeout*, or raise `ConfigurationError`."""
    return seconds("timeout", timeout, low=0.001, high=SECONDS_PER_DAY)


def usable_max_wait(max_wait: float) -> float:
    """Return *max_wait*, or raise `ConfigurationError`."""
    return seconds("max_wait", max_wait, low=0, high=SECONDS_PER_DAY)


def _usable_context(context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    if context is not None and not isinstance(context, ssl.SSLContext):
        raise ConfigurationError(
            "verify must be an ssl.SSLContext, such as ssl.create_default_context(cafile='ca.pem') "
            f"or truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), not {shown(context)}"
        )
    if context is not None and context.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ConfigurationError(
            "verify must be an ssl.SSLContext for clients, such as "
            "ssl.create_default_context(cafile='ca.pem'): this one is for servers"
        )
    return context


def _usable_key(given: Secret | None) -> Secret:
    name, key = "api_key", given
    if key is None and "BURKI_API_KEY" in os.environ:
        name, key = "BURKI_API_KEY", Secret(os.environ["BURKI_API_KEY"])
    if key is None:
        raise ConfigurationError(
            "there is no API key: set BURKI_API_KEY, or pass it to BurkiClient"
        )
    if problem := _problem_of_key(key.value):
        raise ConfigurationError(f"{name} {problem}")
    return key


def _problem_of_key(text: str) -> str | None:
    """Return why *text* cannot be a header value, without showing it; None if it can.

    httpx and h11 quote a header value that they cannot send in their error messages, so such a
    value must be refused before it reaches them.
    """
    if not isinstance(text, str):
        return f"must be text, not {type(text).__name__}"
    if not text.strip():
        return "is empty"
    if text.lower().startswith("bearer "):
        return "must be the key without 'Bearer' in front of it"
    if not all("!" <= character <= "~" for character in text):
        return (
            "has a character that no API key has: white space (often a line break at the end), "
            "a control character, or a non-ASCII character"
        )
    return f"is longer than {MAX_KEY_LENGTH:,} characters" if len(text) > MAX_KEY_LENGTH else None


def _usable_url(base_url: str | None) -> str:
    """Return the base URL without a trailing slash; no message shows it: it may hold a password."""
    name = "base_url"
    if base_url is None:
        name, base_url = "BURKI_BASE_URL", os.environ.get("BURKI_BASE_URL")
    if base_url is None:
        return DEFAULT_BASE_URL
    url = _parsed(name, base_url)
    if url.userinfo:
        raise ConfigurationError(f"{name} must not hold a user name or password")
    if url.query or url.fragment or "?" in base_url or "#" in base_url:
        raise ConfigurationError(f"{name} must not hold a query or a fragment")
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(f"{name} must be a URL such as {DEFAULT_BASE_URL}")
    if url.port is not None and not 0 < url.port < 65_536:
        raise ConfigurationError(f"{name} must have a port from 1 to 65,535")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ConfigurationError(
            f"{name} must be https, because http would send the API key unencrypted "
            "(http is allowed for localhost only)"
        )
    text = str(url).rstrip("/")
    if text.endswith(("/api/v1", "/api")):
        raise ConfigurationError(f"{name} must end before '/api/v1', which is added to it")
    return text


def _parsed(name: str, base_url: str) -> httpx.URL:
    problem = f"{name} is not a URL"
    if isinstance(base_url, str) and base_url.isprintable() and " " not in base_url:
        try:
            return httpx.URL(base_url)
        except httpx.InvalidURL:
            problem = f"{name} is not a valid URL"
    raise ConfigurationError(problem)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
