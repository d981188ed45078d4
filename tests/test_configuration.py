"""Arguments and variables: refused before any request, with a message that says what to do."""

from __future__ import annotations

import math
import traceback
from typing import Any

import httpx
import pytest
from canaries import PACKAGE
from pages import KEY, PASSWORD, ListServer

from aioburki import BurkiClient, ConfigurationError, ContactStatus
from aioburki.sandbox import Sandbox


class Index:
    """A whole number of another library, such as numpy's."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("name", ["concurrency", "attempts"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, 10**9, "5", None, 1.0])
def test_whole_numbers_are_checked(name: str, value: Any) -> None:
    """A count out of range or of another type is refused by name."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number from 1 to"):
        BurkiClient(KEY, **{name: value})


@pytest.mark.parametrize("value", [0, 1023, 2**30 + 1, 10.5, "64", None, True])
def test_the_largest_body_is_checked(value: Any) -> None:
    """A cap out of range or of another type is refused by name."""
    with pytest.raises(ConfigurationError, match="max_body must be a whole number from 1024 to"):
        BurkiClient(KEY, max_body=value)


@pytest.mark.parametrize("name", ["timeout", "max_wait"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, True, 10**9, "5", None])
def test_seconds_are_checked(name: str, value: Any) -> None:
    """A duration out of range or of another type is refused by name."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a number of seconds"):
        BurkiClient(KEY, **{name: value})


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "5"])
def test_rate_is_checked(value: Any) -> None:
    """A rate that is no positive number is refused."""
    with pytest.raises(ConfigurationError, match="rate must be None or a number of requests"):
        BurkiClient(KEY, rate=value)


@pytest.mark.parametrize("value", [0, 1, None, "yes", math.nan])
def test_pause_gc_is_checked(value: Any) -> None:
    """A switch that is neither True nor False is refused by name."""
    with pytest.raises(ConfigurationError, match="pause_gc must be True or False, not "):
        BurkiClient(KEY, pause_gc=value)


def test_timeout_zero_is_refused() -> None:
    """A timeout of zero seconds is refused."""
    with pytest.raises(ConfigurationError, match="timeout"):
        BurkiClient(KEY, timeout=0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (KEY.encode(), "must be text, not bytes"),
        (f"Bearer {KEY}", "without 'Bearer'"),
        (f"{KEY}\n", "a character that no API key has"),
        (f"{KEY}\r\nX: y", "a character that no API key has"),
        (f"\0{KEY}", "a character that no API key has"),
        (f" {KEY}", "a character that no API key has"),
        (f"{KEY} ", "a character that no API key has"),
        (f"{KEY}\u2019", "a character that no API key has"),
        (f"{KEY}\u00e9", "a character that no API key has"),
        ("s" * 10_240, "is longer than 8,192 characters"),
    ],
)
def test_unusable_keys_are_refused_without_being_shown(key: Any, message: str) -> None:
    """A key that cannot go into a header is refused, and no part of it is in the text."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        BurkiClient(key)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_missing_key_names_the_variable() -> None:
    """Without a key the message says where to put one."""
    with pytest.raises(ConfigurationError, match="set BURKI_API_KEY, or pass it"):
        BurkiClient()


def test_key_and_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both variables are read when the client is made, and named in messages."""
    monkeypatch.setenv("BURKI_API_KEY", KEY)
    monkeypatch.setenv("BURKI_BASE_URL", "https://burki.example/")
    assert "base_url='https://burki.example'" in repr(BurkiClient())
    monkeypatch.setenv("BURKI_API_KEY", f"{KEY}\n")
    with pytest.raises(ConfigurationError, match="BURKI_API_KEY has a character"):
        BurkiClient()
    with pytest.raises(ConfigurationError, match="BURKI_BASE_URL must be https"):
        monkeypatch.setenv("BURKI_BASE_URL", "http://burki.example")
        BurkiClient(KEY)


@pytest.mark.may_show(
    "local variable",
    why="base_url is an address; the password that a user puts into it stays in a frame",
)
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://burki.example", "must be https"),
        ("http://10.0.0.1", "must be https"),
        (f"https://me:{PASSWORD}@burki.example", "user name or password"),
        ("https://burki.example?x=1", "query or a fragment"),
        ("https://burki.example#x", "query or a fragment"),
        ("https://burki.example?", "query or a fragment"),
        ("ftp://burki.example", "must be a URL such as"),
        ("file:///etc/passwd", "must be a URL such as"),
        ("burki.example", "must be a URL such as"),
        ("https://", "must be a URL such as"),
        ("", "must be a URL such as"),
        ("https://burki.example:port", "is not a valid URL"),
        ("https://burki.example /x", "is not a URL"),
        (42, "is not a URL"),
        ("https://burki.example/api/v1", "must end before '/api/v1'"),
        ("https://burki.example/api/", "must end before '/api/v1'"),
    ],
)
def test_unusable_urls_are_refused(url: Any, message: str) -> None:
    """A base URL that would leak the key or lead nowhere is refused."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        BurkiClient(KEY, base_url=url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8042",
        "http://127.0.0.1",
        "http://127.8.0.1:1",
        "http://[::1]:8042",
        "http://api.localhost",
        "https://burki.example/gateway",
    ],
)
def test_usable_urls_are_taken(url: str) -> None:
    """Https goes anywhere, http to this machine."""
    assert repr(url) in repr(BurkiClient(KEY, base_url=url + "/"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"http_client": object()}, "http_client must be an httpx.AsyncClient, not object"),
        ({"http_client": httpx.Client()}, "http_client must be an httpx.AsyncClient, not Client"),
        ({"transport": Sandbox(1)}, "of a Sandbox: sandbox.transport"),
        ({"on_event": 1}, "on_event must be callable, not int"),
        (
            {"transport": Sandbox(1).transport, "http_client": httpx.AsyncClient()},
            "http_client or transport, not both",
        ),
    ],
)
def test_wrong_parts_are_refused(arguments: dict[str, Any], message: str) -> None:
    """An http_client, transport or on_event of the wrong type is refused by name."""
    with pytest.raises(ConfigurationError, match=message):
        BurkiClient(KEY, **arguments)


def test_coroutine_function_is_refused() -> None:
    """An on_event that would never be awaited is refused."""

    async def listen(event: object) -> None: ...

    with pytest.raises(ConfigurationError, match="called, not awaited"):
        BurkiClient(KEY, on_event=listen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"campaign_id": 0}, "campaign_id must be a whole number of at least 1, not 0"),
        ({"campaign_id": -1}, "campaign_id"),
        ({"campaign_id": True}, "campaign_id"),
        ({"campaign_id": "42"}, "campaign_id must be a whole number of at least 1, not a str"),
        ({"campaign_id": "../../admin"}, "campaign_id"),
        ({"campaign_id": "42?x=1"}, "campaign_id"),
        ({"campaign_id": "%2e%2e%2fadmin"}, "campaign_id"),
        ({"campaign_id": b"42"}, "campaign_id"),
        ({"campaign_id": None}, "campaign_id"),
        ({"per_page": 0}, "per_page must be a whole number from 1 to 1,000, not 0"),
        ({"per_page": 1001}, "per_page"),
        ({"per_page": 2.5}, "per_page"),
        ({"per_page": math.nan}, "per_page"),
        ({"per_page": True}, "per_page"),
        ({"limit": math.inf}, "limit"),
        ({"limit": -1}, "limit must be a whole number of at least 0, not -1"),
        ({"limit": 1.5}, "limit"),
        ({"status": "faild"}, "status='faild' is not a contact status: did you mean 'failed'?"),
        ({"status": "Failed"}, "did you mean 'failed'?"),
        ({"status": "xyz"}, "is not a contact status: Allowed: pending, in_progress"),
        ({"status": ""}, "is not a contact status"),
        ({"status": "queued"}, "is not a contact status"),
        ({"status": 3}, "status must be one of pending, .*, not 3"),
    ],
)
def test_queries_are_checked_before_any_request(arguments: dict[str, Any], message: str) -> None:
    """A bad argument of contacts() is refused by name when it is given, not when it is used."""
    server = ListServer([1])
    client = BurkiClient(KEY, transport=server.transport)
    with pytest.raises(ConfigurationError, match=message):
        client.contacts(**({"campaign_id": 42} | arguments))
    assert server.asked == []


def test_whole_numbers_of_other_libraries_are_taken() -> None:
    """Anything with __index__, such as a numpy integer, is a whole number."""
    contacts = BurkiClient(KEY).contacts(Index(), status=ContactStatus.BUSY, limit=Index())
    assert repr(contacts) == (
        "<Contacts of campaign 7, status='busy', limit=7: await or async for>"
    )


def test_constructing_needs_no_event_loop() -> None:
    """A client can be made at import time; its repr shows settings and no key."""
    client = BurkiClient(KEY, concurrency=3, rate=5)
    assert repr(client) == (
        "BurkiClient(base_url='https://api.burki.dev', concurrency=3, rate=5.0)"
    )
    assert KEY not in repr(vars(client))


@pytest.mark.parametrize("arguments", [{"timeout": "5"}, {"transport": 1}, {"base_url": "x"}, {}])
def test_no_traceback_of_a_refusal_shows_the_key(arguments: dict[str, Any]) -> None:
    """Error reporters that show local variables do not show the key, good or bad."""
    key = f"{KEY}\n" if not arguments else KEY
    given = {"api_key": key} | arguments
    try:
        BurkiClient(**given)
    except ConfigurationError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in shown.stack if frame.filename.startswith(PACKAGE)]
        assert KEY not in repr([frame.locals for frame in frames])
        assert any("BurkiClient(refused)" in repr(frame.locals) for frame in frames)
    else:
        pytest.fail("not refused")


def test_port_must_be_one() -> None:
    """A port out of range is refused when the client is made."""
    for port in (0, 65_536, 99_999):
        with pytest.raises(ConfigurationError, match="port from 1 to 65,535"):
            BurkiClient(KEY, base_url=f"http://127.0.0.1:{port}")
