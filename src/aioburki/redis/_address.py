"""Address: where the server is, from a URL, with the password where nothing shows it."""

from __future__ import annotations

import os
import ssl
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.credentials import CredentialProvider

from .._errors import ConfigurationError

VARIABLE = "BURKI_REDIS_URL"
EXAMPLES = "redis://localhost:6379/0, rediss://user:password@host:6380 or unix:///run/redis.sock"

_SCHEMES = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class SecretText:
    """A text that no `repr` and no pickle shows: a URL or a password."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "[secret]"

    def __dir__(self) -> list[str]:
        # `rich.inspect` prints the value of every name that dir() returns.
        return [name for name in super().__dir__() if name != "value"]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Redis URL cannot be pickled or copied")


class _Credentials(CredentialProvider):
    """Give user and password to redis, whose own attributes for them would show them."""

    def __init__(self, user: SecretText, password: SecretText) -> None:
        self._user = user
        self._password = password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        user, password = self._user.value, self._password.value
        return (user, password) if user else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        # The method that this one overrides logs a warning.
        return self.get_credentials()


@attrs.frozen
class Address:
    """Where a Redis server is.

    Attributes:
        place: the same for messages, without user and password.
        connection: the class of redis's connections.
        arguments: its arguments; the password is in none of their texts.
    """

    place: str
    connection: type[Any]
    arguments: dict[str, Any]

    def problem_of_files(self) -> str | None:
        """Return which of the TLS files cannot be used, or None; this reads them."""
        authority, certificate, key = (self.arguments.get(name) for name in _TLS_OPTIONS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if authority is not None:
                context.load_verify_locations(authority)
        except OSError:  # or ssl.SSLError, which is one
            return "ssl_ca_certs in its URL is no file of certificates that can be read"
        try:
            if certificate is not None:
                # Without a password it would ask the terminal for one.
                context.load_cert_chain(certificate, key, password="")
        except OSError:
            return "ssl_certfile and ssl_keyfile in its URL are no files that can be used together"
        return None


def address_of(given: SecretText | None) -> Address:
    """Return the address that a URL names, by default that of the variable.

    Raises:
        ConfigurationError: there is none, or it is no URL of a Redis server. The URL is not shown.
    """
    name, url = "url", given
    if url is None and VARIABLE in os.environ:
        name, url = VARIABLE, SecretText(os.environ[VARIABLE])
    if url is None:
        raise ConfigurationError(
            f"there is no Redis URL: set {VARIABLE}, or pass one such as {EXAMPLES}"
        )
    address = _parsed(url)
    if isinstance(address, str):
        raise ConfigurationError(f"{name} {address}")
    return address


def _parsed(url: SecretText) -> Address | str:
    """Return the address, or what is wrong with *url*, without showing it."""
    invalid = f"must be the URL of a Redis server, such as {EXAMPLES}"
    try:
        parts = urlsplit(url.value)
        port = parts.port
        if port == 0:
            return "must have a port from 1 to 65,535"
    except (ValueError, TypeError, AttributeError):
        return f"{invalid}; special characters of a password must be percent-encoded"
    if parts.scheme not in _SCHEMES or parts.fragment:
        return invalid
    arguments: dict[str, Any] = {}
    is_unix = parts.scheme == "unix"
    if (parts.path if is_unix else parts.hostname) in {"", "/", None}:
        return invalid
    if is_unix:
        arguments["path"] = place = unquote(parts.path)
    else:
        host = unquote(parts.hostname or "")
        arguments |= {"host": host, "port": port or 6379}
        shown = f"[{host}]" if ":" in host else host
        place = f"{shown}:{arguments['port']}"
    problem = _add_options(parts, arguments)
    if problem:
        return problem
    if parts.username or parts.password:
        user, password = SecretText(parts.username or ""), SecretText(parts.password or "")
        arguments["credential_provider"] = _Credentials(_decoded(user), _decoded(password))
    return Address(f"{parts.scheme}://{place}", _SCHEMES[parts.scheme], arguments)


def _decoded(text: SecretText) -> SecretText:
    return SecretText(unquote(text.value))


def _add_options(parts: SplitResult, arguments: dict[str, Any]) -> str | None:
    """Add the database and the TLS files to *arguments*, or return what is wrong with them."""
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = options.pop("db", "0" if parts.scheme == "unix" else parts.path.strip("/") or "0")
    if not database.isdecimal():
        return "must end in the number of a database, such as /0, or in none"
    arguments["db"] = int(database)
    allowed = _TLS_OPTIONS if parts.scheme == "rediss" else ()
    if not set(options) <= set(allowed):
        return f"must have no options but db and, with rediss://, {', '.join(_TLS_OPTIONS)}"
    arguments |= options
    return None
