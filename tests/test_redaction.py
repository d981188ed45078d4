"""Details of error answers: shown without keys, phone numbers and control characters."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from canaries import traces
from hypothesis import given
from hypothesis import strategies as st
from pages import KEY, PHONE, body

from aioburki._requests.redaction import Detail, read_detail, safe_text
from aioburki._settings import Secret

SECRET = Secret(KEY)


def test_detail_is_the_servers_text() -> None:
    """The detail of a FastAPI error is returned unchanged."""
    assert read_detail(body({"detail": "Campaign not found"}), SECRET) == Detail(
        "Campaign not found"
    )
    content = {"detail": "x", "error_code": "E1", "timestamp": "2024-02-01T10:30:00Z"}
    assert read_detail(body(content), SECRET) == Detail("x")


@pytest.mark.parametrize("key", ["a", "any", "42", "x-y", "-k-", "sandbox"])
def test_a_short_key_is_masked_as_a_whole_word_only(key: str) -> None:
    """A key shorter than eight characters is masked where it stands alone, not in words."""
    secret = Secret(key)
    assert safe_text("Too many requests in 4200 s, sandboxed", secret) == (
        "Too many requests in 4200 s, sandboxed"
    )
    assert safe_text(f"key {key}, '{key}' or {key}.", secret) == (
        "key [API key], '[API key]' or [API key]."
    )


@pytest.mark.parametrize("key", [KEY, "any", "key", "API"])
def test_a_masked_text_is_masked_no_further(key: str) -> None:
    """The mask of a key stays whole behind "Bearer", and where the key is a word of the mask."""
    once = safe_text(f"Invalid token: Bearer {key}, given", Secret(key))
    assert once == "Invalid token: Bearer [API key], given"
    assert safe_text(once, Secret(key)) == once


def test_validation_problems_come_without_the_input() -> None:
    """Of a 422 the location and the message are returned, and not the input that it repeats."""
    content = {
        "detail": [
            {"loc": ["query", "per_page"], "msg": "too large", "type": "t", "input": PHONE},
            {"msg": "alone"},
            {"loc": "odd"},
            "text",
        ]
    }
    found = read_detail(body(content), SECRET)
    assert found.problems == (
        "query.per_page: too large",
        "request: alone",
        "request: not accepted",
        "a problem without a description",
    )
    assert found.text == "; ".join(found.problems)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[1]", b'"x"', b"null", b'{"detail": 5}', b'{"detail": ""}', b"{}",
     b'{"detail": []}', b"[" * 100_000, b"\xff", b'{"detail": null}'],
)  # fmt: skip
def test_unusable_body_has_no_detail(content: bytes) -> None:
    """Anything but a JSON object with a usable detail gives an empty Detail."""
    assert read_detail(content, SECRET) == Detail()


def test_secrets_and_phone_numbers_are_masked() -> None:
    """A key or a phone number that the server repeats is masked."""
    echoed = f"key {KEY} and Bearer sk-other for {PHONE} or 555 019-98877, id 123456"
    assert safe_text(echoed, SECRET) == (
        "key [API key] and [API key] for [number] or [number], id 123456"
    )
    found = read_detail(body({"detail": [{"loc": [KEY], "msg": PHONE}]}), SECRET)
    assert KEY not in repr(found)
    assert PHONE not in repr(found)


@pytest.mark.parametrize(
    "number",
    [
        "+1 - 555 - 123 - 4567",
        "555/123/4567",
        "+1 (555) 123-4567",
        "(555) 123-4567",
        "5551234567",
        "+1\u2011555\u2011765\u20114321",
        "+1\u00a0555  765\t4321",
        "555_123_4567",
        "+49 (30) 12 34 56",
    ],
)
def test_phone_numbers_are_masked_with_any_separators(number: str) -> None:
    """Spaces, brackets, dashes and other separators do not prevent masking."""
    assert safe_text(f"for {number}!", SECRET) == "for [number]!"


def test_long_keys_are_masked_before_the_text_is_cut() -> None:
    """No part of a long key remains where the text is cut."""
    key = "abcdefghij" * 800
    for before in ("", "x" * 400, "x" * 4900, "x" * 4999, "1" * 4999):
        assert "abc" not in safe_text(before + key + key, Secret(key))


def test_texts_are_short_and_printable() -> None:
    """A long text is cut, control characters are escaped, a key at the cut is masked."""
    assert safe_text("a\n\x1b[31m\0", SECRET) == "a\\n\\x1b[31m\\x00"
    assert len(safe_text("x" * 10_000_000, SECRET)) == 500
    cut = safe_text("x" * 490 + KEY, SECRET)
    assert KEY[:8] not in cut


@given(st.text() | st.text(alphabet="+0123456789 -().\n" + KEY))
def test_no_text_shows_a_key_or_a_long_number(text: str) -> None:
    """Key and phone number are masked in any surrounding text."""
    shown = safe_text(f"{text}{KEY}{text} {PHONE} {text}", SECRET)
    assert KEY not in shown
    assert PHONE not in shown
    assert shown.isprintable()


@pytest.mark.parametrize("before", ["", "k", "ke", "key", "me:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_encoded_keys_are_masked(before: str, encode: Callable[[bytes], bytes]) -> None:
    """A key in base64 is masked, alone or after other text, as in Basic credentials."""
    key = f"{KEY}~~>?/+"
    shown = safe_text(f"Basic {encode(f'{before}{key};'.encode()).decode()}", Secret(key))
    assert "[API key]" in shown
    assert not traces(shown)


def test_key_in_a_url_is_masked() -> None:
    """A key is masked in percent-encoding too."""
    key = f"{KEY}/+="
    assert (
        safe_text(f"no route to /x?key={KEY}%2F%2B%3D", Secret(key))
        == "no route to /x?key=[API key]"
    )


def test_short_keys_are_masked_as_they_are() -> None:
    """A short key, such as the sandbox's, is masked only in its plain form."""
    assert safe_text("Yes, YWI any", Secret("ab")) == "Yes, YWI any"
