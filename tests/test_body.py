"""Reading bodies: complete, bounded, and in at most one encoding."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioburki._decoding.json_checks import Undecodable
from aioburki._http.body import GZIP, MAX_JOINED, PIECE, BodyProblem, _Gzip, read_body
from aioburki._list_contacts import CONTACTS
from aioburki._settings import DEFAULT_MAX_BODY

pytestmark = pytest.mark.asyncio

TEXT = b'{"contacts": []}' * 50_000


class Pieces(httpx.AsyncByteStream):
    """A body in pieces of a given size."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.size):
            yield self.content[start : start + self.size]


async def read(
    content: bytes, encoding: str = "", *, size: int = 1000, largest: int = 2**26
) -> bytes | BodyProblem:
    headers = {"content-encoding": encoding} if encoding else {}
    response = httpx.Response(200, headers=headers, stream=Pieces(content, size))
    return await read_body(response, largest)


@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
async def test_bodies_are_joined_from_any_pieces(size: int) -> None:
    """Plain and gzip bodies are complete wherever they are divided."""
    text = TEXT[:5000]
    assert await read(text, size=size) == text
    assert await read(text, "identity", size=size) == text
    assert await read(gzip.compress(text), "gzip", size=size) == text
    assert await read(gzip.compress(text), " X-GZIP ", size=size) == text


async def test_all_gzip_members_are_one_body() -> None:
    """All members of a gzip body are decompressed; httpx drops all but the first."""
    content = gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])
    for size in (1, 50, 10**9):
        assert await read(content, "gzip", size=size) == TEXT


async def test_cut_gzip_is_broken() -> None:
    """A gzip body without its trailer is broken."""
    content = gzip.compress(TEXT)
    for cut in (1, 8, 9, len(content) // 2, len(content) - 1):
        assert await read(content[:-cut], "gzip") is BodyProblem.BROKEN
    assert await read(b"", "gzip") == b""


async def test_zeros_behind_gzip_are_called_that() -> None:
    """Zeros after a gzip body are named in the problem."""
    for size in (1, 10**9):
        problem = await read(gzip.compress(TEXT) + bytes(8), "gzip", size=size)
        assert problem is BodyProblem.ZEROS


@pytest.mark.parametrize("encoding", ["UTF-8", "utf8", "none", "binary, 8bit", "application/json"])
async def test_a_token_that_is_no_coding_is_ignored(encoding: str) -> None:
    """Plain JSON is read whatever its Content-Encoding says, unless that is a coding."""
    for text in (b'{"contacts": []}', b"\xef\xbb\xbf [1]\n"):
        assert await read(text, encoding) == text
        assert await read(gzip.compress(text), f"{encoding}, gzip") == text
        assert await read(text, f"{encoding}, br") is BodyProblem.ENCODED
        assert await read(gzip.compress(text), encoding) is BodyProblem.ENCODED


async def test_false_gzip_is_broken() -> None:
    """Plain bytes declared as gzip, or a wrong checksum, are a broken body."""
    assert await read(TEXT, "gzip") is BodyProblem.BROKEN
    content = bytearray(gzip.compress(TEXT))
    content[-6] ^= 1
    assert await read(bytes(content), "gzip") is BodyProblem.BROKEN


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "unheard-of"])
async def test_other_encodings_are_refused(encoding: str) -> None:
    """An encoding that was not requested is not read as plain bytes."""
    assert await read(TEXT, encoding) is BodyProblem.ENCODED


async def test_bodies_are_bounded() -> None:
    """A body may be exactly as large as the maximum."""
    assert await read(TEXT, largest=len(TEXT)) == TEXT
    assert await read(TEXT, largest=len(TEXT) - 1) is BodyProblem.TOO_LARGE
    packed = gzip.compress(TEXT)
    assert await read(packed, "gzip", largest=len(TEXT)) == TEXT
    assert await read(packed, "gzip", largest=len(TEXT) - 1) is BodyProblem.TOO_LARGE


async def test_decompression_bomb_is_refused_early() -> None:
    """Refusing 255 KiB of gzip for 256 MiB of zeros takes less than twice the maximum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    tracemalloc.start()
    try:
        assert await read(bomb, "gzip", size=2**20, largest=2**23) is BodyProblem.TOO_LARGE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**23


BOMBS = {
    "plain": ("", 2**30),
    "gzip": ("gzip", 2**30),
    "members": ("gzip", 2**30),
    "gzip of gzip": ("gzip, gzip", 2**20),
}


@pytest.mark.parametrize("kind", BOMBS)
async def test_memory_is_bounded_while_a_body_is_refused(kind: str) -> None:
    """Refusing a gigabyte takes a process less than twice the maximum."""
    resource = pytest.importorskip("resource")
    assert resource
    command = [sys.executable, str(Path(__file__).with_name("bomb.py")), *map(str, BOMBS[kind])]
    done = subprocess.run([*command, kind], capture_output=True, text=True, check=True)
    error, growth = done.stdout.split()
    assert error == ("UnexpectedResponseError" if "of" in kind else "ResponseTooLargeError")
    assert int(growth) < 2 * DEFAULT_MAX_BODY


@pytest.mark.parametrize("rubbish", [b"garbage", b"\x1f\x8b", b'{"contacts": []}'])
async def test_rubbish_after_gzip_is_broken(rubbish: bytes) -> None:
    """Bytes after a gzip member that are not another member are a broken body."""
    for size in (1, 10**9):
        content = gzip.compress(TEXT[:100]) + rubbish
        assert await read(content, "gzip", size=size) is BodyProblem.BROKEN


async def test_gzip_is_decompressed_once() -> None:
    """A body compressed twice and declared once stays compressed, and is not a page."""
    once = gzip.compress(TEXT)
    assert await read(gzip.compress(once), "gzip") == once
    assert isinstance(CONTACTS.decoder.decode(once), Undecodable)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=4), st.integers(1, 300))
async def test_any_content_survives_compression(parts: list[bytes], size: int) -> None:
    """Any content in any number of members and pieces is decompressed to itself."""
    reader = _Gzip(2**20)
    packed = b"".join(gzip.compress(part * 3) for part in parts)
    for start in range(0, len(packed), size):
        for _ in reader.feed(packed[start : start + size]):
            pass
    assert b"".join(reader.finish()) == b"".join(part * 3 for part in parts)


async def test_output_larger_than_a_piece_is_complete() -> None:
    """Little gzip input with more than one piece of output is decompressed completely."""
    zeros = bytes(3 * 2**20 + 5)
    assert await read(gzip.compress(zeros), "gzip", size=10**9) == zeros


async def test_empty_pieces_are_ignored() -> None:
    """Empty pieces, also at the end, do not change a body."""

    class WithEmpty(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in (b"", gzip.compress(TEXT), b""):
                yield piece

    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=WithEmpty())
    assert await read_body(response, 2**26) == TEXT


async def test_body_that_was_already_read_is_returned() -> None:
    """A body already read is returned; one consumed without being kept is a problem."""
    assert await read_body(httpx.Response(200, content=TEXT), 2**26) == TEXT
    assert await read_body(httpx.Response(200, content=TEXT), 10) is BodyProblem.TOO_LARGE
    taken = httpx.Response(200, stream=Pieces(TEXT, 1000))
    async for _ in taken.aiter_raw():
        pass
    assert await read_body(taken, 2**26) is BodyProblem.TAKEN


async def test_reader_that_does_not_end_on_closing_is_abandoned() -> None:
    """If closing does not end the reading generator, as in HTTP/2, it is not waited for."""

    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield TEXT
            await anyio.sleep(60)

    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Silent())
    start = anyio.current_time()
    assert await read_body(response, 2**26) is BodyProblem.BROKEN
    assert anyio.current_time() - start < 1


async def test_small_body_that_holds_a_large_one_is_decompressed_in_turns() -> None:
    """Other tasks run while a small gzip body is decompressed, after each part of it."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    size = MAX_JOINED - PIECE  # not joined in a thread, which takes turns too
    content = gzip.compress(bytes(size))
    counting = asyncio.create_task(count())
    assert await read(content, "gzip", size=len(content)) == bytes(size)
    counting.cancel()
    assert turns >= size // PIECE - 1


async def test_large_bodies_are_joined_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of a large body are not joined in the thread of the event loop."""
    joined = []
    original = asyncio.to_thread

    async def to_thread(function: Any, pieces: list[bytes]) -> bytes:
        joined.append(sum(map(len, pieces)))
        result: bytes = await original(function, pieces)
        return result

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    for size in (MAX_JOINED, MAX_JOINED + 1):
        assert await read(bytes(size), size=10**6) == bytes(size)
    assert joined == [MAX_JOINED + 1]
