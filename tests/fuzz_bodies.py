"""Feed broken and hostile bodies to the body reader and the decoder, and check the results.

Run it with ``python tests/fuzz_bodies.py --bodies 100000 [--seed N]``. Pages of the documented
shape are mutated as bytes, as JSON tokens and as gzip, read by `read_body` in pieces and decoded
by `decode_page`. The expected result comes from Python's own `json`. A failure prints the
command that repeats it; pytest runs a small share of the bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import gzip
import json
import random
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import attrs
import cattrs
import httpx
from pages import KEY, PHONE, page

from aioburki import Contact
from aioburki._decoding.json_checks import MAX_DEPTH, Undecodable, parse
from aioburki._http.body import BodyProblem, read_body
from aioburki._list_contacts import CONTACTS
from aioburki._page import Page

DECODER = CONTACTS.decoder
assert DECODER.fast is not None
FROM_BYTES, FROM_DATA = DECODER.fast.from_bytes, DECODER.fast.from_data

MAX_BODY = 2**20
MAX_SECONDS = 2.0  # of CPU for one body
DOCUMENTED = {"company", "source", "variable_values", "custom_fields"}

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}\[\]:,]', re.DOTALL)
HOSTILE_VALUES = [
    b"null", b"true", b"false", b"0", b"-0", b"-1", b"1.0", b"1e2", b"1E400", b"-1e400", b"NaN",
    b"Infinity", b"-Infinity", b"01", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"1" * 40, b"9" * 5000, b"0." + b"3" * 400, b'""', b'"\\ud800"',
    b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\xff"', b'"\xed\xa0\x80"', b'"a\nb"', b'"\\x"', b'"\\',
    b"[]", b"{}", b"[[]]", b'{"a":{"b":[1,{"c":null}]}}', b"//", b"'a'", b"\x0b", b"\x00", b"",
    b'"2024-02-01T10:30:00"', b'"2024-02-01T10:30:00+05:30"', b'"2024-02-01t10:30:00.1234567891z"',
    b'"2024-02-30T10:30:00Z"', b'"0001-01-01T00:00:00+23:59"', b'"2024-02-01 10:30"',
    b'"2024-02-01T24:00:00Z"', b'"2024-02-01T10:30:60Z"', b'"queued"', b'"{{[["', b'"a\\"}{"',
]  # fmt: skip
HOSTILE_MEMBERS = [
    b'"contacts":[],', b'"pagination":{},', b'"pagination":null,', b'"pag\\u0069nation":{},',
    b'"page":1,', b'"total_pages":9,', b'"p\\u0061ge":7,', b'"meta":{"pagination":[]},',
    b'"extra":{},', b'"id":7,', b'"email":"a@example.com",', b'"company":null,', b'"\\ud800":1,',
    b'"variable_values":null,', b'"contact_data":null,', b'"contact_data":[],', b'"":[],',
]  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes]


def _valid_bodies() -> list[bytes]:
    whole = page(1, 50, range(3))
    tolerated = page(2, 2, range(5))
    tolerated["contacts"][0]["contact_data"] = None
    tolerated["contacts"][1] |= {"created_at": "2024-02-01T10:30:00", "agent": {"id": [1]}}
    tolerated["meta"] = {"took": 0.5}
    extra = page(1, 1, [7])
    extra["contacts"][0]["contact_data"] |= {"email": KEY, "extra": {"a": {"b": [{}]}}}
    reordered = {name: whole[name] for name in ("pagination", "contacts")}
    minimal = page(1, 1, [1]) | {"contacts": [{"id": 1, "phone_number": PHONE, "status": KEY}]}
    contents = [whole, tolerated, extra, reordered, minimal, page(1, 1, [])]
    indented = [json.dumps(content, indent=1).encode() for content in contents]
    return [json.dumps(content, separators=(",", ":")).encode() for content in contents] + indented


VALID_BODIES = _valid_bodies()


def flip(draw: random.Random, body: bytes) -> bytes:
    """Replace one byte."""
    place = draw.randrange(len(body))
    return body[:place] + bytes([draw.randrange(256)]) + body[place + 1 :]


def splice(draw: random.Random, body: bytes) -> bytes:
    """Insert a part of this body or of another one at a random place."""
    other = draw.choice([body, draw.choice(VALID_BODIES)])
    start, place = draw.randrange(len(other)), draw.randrange(len(body))
    part = other[start : start + draw.choice([1, 8, 60, 400])]
    return body[:place] + part + body[place + draw.choice([0, len(part)]) :]


def cut(draw: random.Random, body: bytes) -> bytes:
    """Remove the end, the start or a part in the middle."""
    start, end = sorted(draw.randrange(len(body) + 1) for _ in "ab")
    return draw.choice([body[:start], body[end:], body[:start] + body[end:]])


def replace_token(draw: random.Random, body: bytes) -> bytes:
    """Replace one JSON token by another value."""
    tokens = list(TOKEN.finditer(body))
    if not tokens:
        return body
    token = draw.choice(tokens)
    value = draw.choice([*HOSTILE_VALUES, draw.choice(tokens)[0]])
    return body[: token.start()] + value + body[token.end() :]


def add_member(draw: random.Random, body: bytes) -> bytes:
    """Add a member to an object, which may repeat a key."""
    places = [match.end() for match in re.finditer(rb"\{", body)]
    if not places:
        return body
    place = draw.choice(places)
    return body[:place] + draw.choice(HOSTILE_MEMBERS) + body[place:]


def nest(draw: random.Random, body: bytes) -> bytes:
    """Nest a value in lists and objects, or add a new member with a deeply nested value."""
    levels = draw.choice([1, 3, 4, 5, 26, 27, 28, 29, 30, 31, 32, 33, 200, 5000])
    opening, closing = draw.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"b":1,"a":', b"}]")])
    tokens = [token for token in TOKEN.finditer(body) if token[0] not in b"{}[]:,"]
    if not tokens:
        return body
    token = draw.choice(tokens)
    deep = opening * levels + token[0] + closing * levels
    if draw.random() < 0.5:
        member = b'"' + draw.choice([b"new", b"variable_values", b"meta"]) + b'":' + deep + b","
        return re.sub(rb"\{", lambda match: match[0] + member, body, count=1)
    return body[: token.start()] + deep + body[token.end() :]


def encode(draw: random.Random, body: bytes) -> bytes:
    """Change the text encoding, add a byte order mark, or change the white space."""
    text = body.decode("utf-8", "replace")
    ways: list[Callable[[], bytes]] = [
        lambda: codecs.BOM_UTF8 + body,
        lambda: codecs.BOM_UTF8 * 2 + body,
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-32-le"),
        lambda: text.encode("latin-1", "replace"),
        lambda: body + draw.choice([b"\n", b" x", b"\x00", b",", b"}"]),
        lambda: draw.choice([b"\r\n\t ", b"\x0c", b"\xa0"]) + body,
        lambda: body.replace(b",", b" ,\n\t"),
        lambda: body.replace(b":", b" :\x0b"),
        lambda: re.sub(rb'"(\w)(\w*)"', lambda m: b'"\\u%04x%b"' % (ord(m[1]), m[2]), body),
    ]
    return draw.choice(ways)()


MUTATIONS: list[Mutation] = [
    flip, splice, cut, replace_token, replace_token, replace_token, add_member, add_member,
    nest, encode,
]  # fmt: skip


def compress(draw: random.Random, body: bytes) -> tuple[bytes, str]:
    """Return the body as it is sent, and its Content-Encoding; mostly uncompressed."""
    if draw.random() < 0.6:
        return body, draw.choice(["", "", "identity", "br", "gzip"])
    place = draw.randrange(len(body) + 1)
    compressed = gzip.compress(body[:place], 1) + gzip.compress(body[place:], 1)
    match draw.randrange(7):
        case 0:
            compressed = flip(draw, compressed)
        case 1:
            compressed = cut(draw, compressed)
        case 2:
            compressed += draw.choice([b"\x00", b"garbage", compressed[:5], gzip.compress(b"")])
        case 3:
            compressed = gzip.compress(compressed)
        case 4:
            compressed = zlib.compress(body)
        case _:
            pass
    return compressed, draw.choice(["gzip", "gzip", "gzip", "x-gzip", "GZIP", "gzip, gzip", ""])


class Pieces(httpx.AsyncByteStream):
    """A body sent in pieces of *size* bytes."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.size):
            yield self.content[start : start + self.size]


async def check_one(seed: int, number: int) -> str:
    """Make one body, read and decode it, and return the kind of its outcome.

    Raises:
        AssertionError: the outcome is wrong.
    """
    draw = random.Random(f"{seed} {number}")
    body = draw.choice(VALID_BODIES)
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3, 5])):
        body = draw.choice(MUTATIONS)(draw, body) or b"{"
    sent, encoding = compress(draw, body)
    start = time.process_time()
    pieces = Pieces(sent, draw.choice([1, 7, 100, 10**6]) if len(sent) < 3000 else 4096)
    response = httpx.Response(200, headers={"content-encoding": encoding}, stream=pieces)
    received = await read_body(response, MAX_BODY)
    if isinstance(received, BodyProblem):
        outcome = received.name.lower()
    else:
        outcome = check_decoding(received)
        if not encoding:
            assert received == sent, "the reader has changed the body"
    assert time.process_time() - start < MAX_SECONDS, "reading and decoding took too long"
    return outcome


def check_decoding(body: bytes) -> str:
    """Decode *body* with each decoder, and compare the results with each other and with `json`.

    Returns the kind of the outcome: ``documented``, ``loose`` or ``tolerated`` by the first decoder
    that accepts the body, ``defaulted`` if only with defaults, ``broken`` or ``refused`` if none
    does.

    Raises:
        AssertionError: the results differ, or a refusal shows a secret.
    """
    result = DECODER.decode(body)
    text = body.removeprefix(codecs.BOM_UTF8)
    content = parse(text, "contacts")
    is_json = not isinstance(content, Undecodable)
    fast = structured(FROM_BYTES, text)
    loose = structured(FROM_DATA, content) if is_json else None
    if isinstance(result, Undecodable):
        assert fast is loose is None, "refused although a faster decoder accepts it"
        assert result.problems, "refused without a reason"
        problems = " ".join(result.problems)
        secrets = (PHONE, KEY, PHONE[-7:])
        assert not any(secret in problems for secret in secrets), "a problem shows a secret"
        return "broken" if result.broken else "refused"
    assert isinstance(result, Page), "neither a page nor Undecodable"
    assert is_json, "only the fast decoder accepts it"
    tolerant = DECODER.tolerant.read(content)
    for other in (fast, loose, tolerant):
        assert other is None or shown(other) == shown(result), "the decoders differ"
    compare_with_json(result, text)
    if result.unread:
        reasons = " ".join(each.place + each.reason for each in result.unread)
        assert not any(secret in reasons for secret in (PHONE, KEY, PHONE[-7:])), "a value is shown"
        return "defaulted"
    return "documented" if fast else "loose" if loose else "tolerated"


def structured(converter: cattrs.Converter, value: Any) -> Page[Contact] | None:
    """Return *value* as decoded with *converter*, or None if this decoder does not accept it."""
    *_, done = DECODER.fast_steps(converter, value)
    return done


def shown(page: Any) -> str:
    """Return all values of *page* with their types, for comparison."""
    assert isinstance(page, Page), "the tolerant decoder refuses what a faster one accepts"
    return repr(attrs.astuple(page))


def compare_with_json(result: Page[Contact], text: bytes) -> None:
    """Compare a decoded page with what Python's own `json` reads from *text*."""
    content = json.loads(text, object_pairs_hook=JsonObject, parse_constant=refuse)
    assert depth(content) <= MAX_DEPTH, "nested too deeply"
    assert not {"contacts", "pagination"} & content.repeated, "a key of the envelope occurs twice"
    known = {field.name for field in attrs.fields(type(result.pagination))}
    assert not known & content["pagination"].repeated, "a key of pagination occurs twice"
    assert len(result.items) == len(content["contacts"]), "contacts were lost"
    unread = {each.place for each in result.unread}
    for index, (one, raw) in enumerate(zip(result.items, content["contacts"], strict=True)):
        assert (one.id, one.phone_number, one.status.value) == (
            raw["id"], raw["phone_number"], raw["status"],
        ), "a contact has wrong values"  # fmt: skip
        place = f"contacts[{index}].contact_data"
        data = raw.get("contact_data") or {}
        if not isinstance(data, dict):
            assert place in unread, "unreadable data was not reported"
            data = {}
        assert one.contact_data.extra == {
            key: value for key, value in data.items() if key not in DOCUMENTED
        }, "undocumented keys were lost"
        for name in ("variable_values", "custom_fields"):
            value = data.get(name) or {}
            if data.get(name) is False or data.get(name) == 0 or not isinstance(value, dict):
                assert f"{place}.{name}" in unread, "unreadable data was not reported"
                value = {}
            assert getattr(one.contact_data, name) == value, "data was lost"


class JsonObject(dict[str, Any]):
    """A JSON object, with the keys that occur more than once in *repeated*."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self.repeated = {key for key, n in Counter(key for key, _ in members).items() if n > 1}
        self.all_values = [value for _, value in members]


def depth(value: Any) -> int:
    """Return how many levels of lists and objects *value* has."""
    inner: Iterable[Any] = ()
    if isinstance(value, JsonObject):
        inner = value.all_values
    elif isinstance(value, list):
        inner = value
    else:
        return 0
    return 1 + max(map(depth, inner), default=0)


def refuse(constant: str) -> Any:
    raise ValueError(constant)


async def check_all(seed: int, numbers: Iterable[int]) -> Counter[str]:
    """Check the bodies with these *numbers*; return how often each kind of outcome occurred.

    Raises:
        AssertionError: an outcome is wrong; the message holds the command that repeats it.
    """
    outcomes: Counter[str] = Counter()
    for number in numbers:
        try:
            outcomes[await check_one(seed, number)] += 1
        except Exception as error:
            command = f"python tests/fuzz_bodies.py --seed {seed} --only {number}"
            raise AssertionError(f"{type(error).__name__}: {error}; replay: {command}") from error
    return outcomes


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER")
    options = parser.parse_args(arguments)
    numbers = range(options.bodies) if options.only is None else [options.only]
    start = time.perf_counter()
    outcomes = asyncio.run(check_all(options.seed, numbers))
    for outcome, count in outcomes.most_common():
        print(f"{count:>8,} {outcome}")
    took = time.perf_counter() - start
    print(f"{outcomes.total():>8,} bodies in {took:.0f} s, all outcomes correct")


if __name__ == "__main__":
    main(sys.argv[1:])
