"""The key, phone numbers and bodies: in no exception, no repr and no log line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from pages import KEY, PHONE, body, contact, page

from aioburki import BurkiClient, BurkiError

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.virtual_clock,
    pytest.mark.usefixtures("nothing_left"),
]

ECHO = f"you sent Authorization: Bearer {KEY} for {PHONE}"
PAGE = page(1, 1000, range(1, 11))
BAD_PAGE = PAGE | {"contacts": [contact(1, id=KEY, created_at=PHONE)]}

Respond = Callable[[httpx.Request], httpx.Response]


def failing(error: type[httpx.TransportError]) -> Respond:
    def respond(request: httpx.Request) -> httpx.Response:
        raise error(f"{ECHO} {request.headers['authorization']}", request=request)

    return respond


def answering(status: int, content: bytes, **headers: str) -> Respond:
    return lambda _: httpx.Response(status, content=content, headers=headers)


CASES: dict[str, Respond] = {
    **{f"HTTP {status}": answering(status, body({"detail": ECHO}))
       for status in (400, 401, 403, 404, 408, 418, 422, 429, 500, 501, 503)},
    "422 list": answering(422, body({"detail": [{"loc": ["x"], "msg": ECHO, "input": KEY}]})),
    "HTML": answering(200, f"<html>{ECHO}</html>".encode()),
    "redirect": answering(302, b"", location=f"https://evil.example/?{KEY}"),
    "half a page": answering(200, body(PAGE)[:-40]),
    "no UTF-8": answering(200, body(PAGE)[:-3] + b"\xff}}"),
    "bad page": answering(200, body(BAD_PAGE)),
    "deep": answering(200, b"[" * 100_000),
    "unknown encoding": answering(200, body(PAGE), **{"content-encoding": "br"}),
    "false gzip": answering(200, body(PAGE), **{"content-encoding": "gzip"}),
    "connect": failing(httpx.ConnectError),
    "read": failing(httpx.ReadError),
    "timeout": failing(httpx.ReadTimeout),
    "protocol": failing(httpx.LocalProtocolError),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_no_error_shows_a_secret(name: str) -> None:
    """Whatever the server echoes, all that the fixture `canaries` looks at is free of it."""
    transport = httpx.MockTransport(CASES[name])
    async with BurkiClient(KEY, transport=transport, max_wait=0) as burki:
        with pytest.raises(BurkiError) as caught:
            await burki.contacts(42)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_no_object_shows_a_secret() -> None:
    """What a user may print shows no key, and no contact but those asked for."""
    transport = httpx.MockTransport(answering(200, body(PAGE)))
    async with BurkiClient(KEY, transport=transport) as burki:
        query = burki.contacts(42)
        contacts = await query
        task = asyncio.ensure_future(query)
        await task
        async with query.stream() as stream:
            shown = [repr(stream), repr(stream.report)]
        shown += [
            repr(burki), repr(vars(burki)), repr(query), repr(contacts), repr(list(contacts)),
            repr(contacts.report), repr(await query.page(1)), repr(task),
            repr(contacts[0].contact_data), str(contacts[0]),
        ]  # fmt: skip
    text = "\n".join(shown)
    assert KEY not in text
    assert PHONE not in text
    assert "John Smith" not in text
