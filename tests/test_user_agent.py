"""`user_agent_suffix`: what is added to the User-Agent header."""

from __future__ import annotations

import httpx
import pytest
from pages import KEY, page

from aioburki import BurkiClient, ConfigurationError

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_clock]


@pytest.mark.parametrize("is_own_client", [False, True])
async def test_suffix_is_sent_behind_our_own(is_own_client: bool) -> None:
    """It stands behind our product and Python's, over any transport or client, also of a view."""
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["user-agent"])
        return httpx.Response(200, json=page(1, 1, [1]))

    transport = httpx.MockTransport(handler)
    async with httpx.AsyncClient(transport=transport, headers={"User-Agent": "x"}) as http:
        for suffix in (None, "my-app/1.2"):
            burki = (
                BurkiClient(KEY, http_client=http, user_agent_suffix=suffix)
                if is_own_client
                else BurkiClient(KEY, transport=transport, user_agent_suffix=suffix)
            )
            async with burki:
                await burki.contacts(42).count()
                await burki.with_options(timeout=3).contacts(42).count()
    assert seen[0].startswith("aioburki/")
    assert seen == [seen[0]] * 2 + [f"{seen[0]} my-app/1.2"] * 2


@pytest.mark.parametrize(
    "suffix",
    [
        "a", "my-app/1.2", "a/1 b/2", "a (b c)", "(x)", "()", "a (b (c) d) e", r"a (b \( c)",
        r"((x) \(a)", "a!#$%&'*+-.^_`|~9/1", "x" * 200,
    ],
    ids=str,
)  # fmt: skip
async def test_products_and_comments_are_accepted(suffix: str) -> None:
    """Whatever RFC 9110 allows in ASCII is accepted."""
    assert BurkiClient(KEY, user_agent_suffix=suffix) is not None


@pytest.mark.parametrize(
    "suffix",
    [
        "", " a", "a ", "a  b", "a\r\nX: y", "a\tb", "a\x00", "ä/1", "a/", "/1", "a/1/2", "a,b",
        "a (b", "a b)", "a (b))", "a(b)", "(a)(b)", "a (b\\", "a (b \\)", "x" * 201, 3, b"a", True,
    ],
    ids=repr,
)  # fmt: skip
async def test_everything_else_is_refused(suffix: object) -> None:
    """What is no product and no comment, or too long, or no text, is refused by name."""
    with pytest.raises(ConfigurationError, match="user_agent_suffix"):
        BurkiClient(KEY, user_agent_suffix=suffix)  # type: ignore[arg-type]
