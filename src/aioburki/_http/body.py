"""Body: read a response's body, decompressed piece by piece up to a maximum size."""

from __future__ import annotations

import asyncio
import codecs
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from enum import Enum

import anyio
import httpx
import msgspec

MAX_ERROR_BODY = 256 * 1024  # bytes of an error's body that are read; its start has the reason
PIECE = 256 * 1024  # bytes that are decompressed at once
MAX_JOINED = 4 * 1024 * 1024  # bytes that are joined in the event loop's thread
ABANDON_SECONDS = 0.1
BUFFERED_PIECES = 100  # more than a connection may still yield after it was closed

GZIP = 16 + zlib.MAX_WBITS

# https://www.iana.org/assignments/http-parameters, "HTTP Content Coding Registry".
CODINGS = {
    "aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip",
    "x-compress", "x-gzip", "zstd",
}  # fmt: skip


class BodyProblem(Enum):
    """Why a body could not be read; the value is the text for a message."""

    TOO_LARGE = "the response is larger than max_body allows"
    BROKEN = "the compressed body is not complete"
    ZEROS = "there are zeros behind the compressed body"
    ENCODED = "the body is in an encoding that was not asked for"
    TAKEN = "something else has read the body, such as a hook of http_client"


class _UnreadableError(Exception):
    def __init__(self, problem: BodyProblem) -> None:
        self.problem = problem


async def read_body(response: httpx.Response, largest: int) -> bytes | BodyProblem:
    """Return the decompressed body of *response*, or why it cannot be read.

    Reads the stream itself, because httpx decompresses without a maximum size and drops all but
    the first of several gzip members. A body that a mock or a hook has already read is returned
    as it is. If the body cannot be read the response is closed.

    Args:
        response: sent with ``stream=True``.
        largest: the maximum size in bytes after decompression.

    Raises:
        httpx.HTTPError: the connection failed.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    pieces = aiter(response.stream)
    try:
        reader = _reader(response.headers.get("content-encoding", ""), largest)
        if response.is_stream_consumed:
            plain = _Plain(largest)
            plain.add(response.content)
            return await _joined(plain.finish())
        async for piece in pieces:
            for _ in reader.feed(piece):
                # A small body may hold a large one, which would block the event loop.
                await asyncio.sleep(0)
        return await _joined(reader.finish())
    except httpx.ResponseNotRead:
        return BodyProblem.TAKEN
    except _UnreadableError as error:
        problem = error.problem
    await _abandon(response, pieces)
    return problem


def body_if_read(response: httpx.Response) -> bytes:
    """Return the body of a closed response if it was read before; empty if not."""
    try:
        return response.content
    except httpx.ResponseNotRead:
        return b""


async def _abandon(response: httpx.Response, pieces: AsyncIterator[bytes]) -> None:
    """Close *response*, then run the generators that read from its connection to their end.

    Left suspended they would be closed by the garbage collector, in new tasks of the event loop.
    """
    await response.aclose()
    with (
        anyio.move_on_after(ABANDON_SECONDS),  # HTTP/2 does not wake readers on closing
        suppress(httpx.HTTPError, httpx.StreamError, OSError),
    ):
        for _ in range(BUFFERED_PIECES):
            await anext(pieces, None)


async def _joined(pieces: list[bytes]) -> bytes:
    """Return *pieces* as one; joining 60 MiB takes 40 ms, and lets other threads run meanwhile."""
    if sum(map(len, pieces)) <= MAX_JOINED:
        return b"".join(pieces)
    return await asyncio.to_thread(b"".join, pieces)


def _reader(encoding: str, largest: int) -> _Plain | _Gzip:
    tokens = [token.strip().lower() for token in encoding.split(",")]
    codings = [token for token in tokens if token in CODINGS]
    match codings:
        case [] if not any(tokens) or "identity" in tokens:
            return _Plain(largest)
        case []:
            return _PlainJson(largest)
        case ["gzip" | "x-gzip"]:
            return _Gzip(largest)
        case _:
            raise _UnreadableError(BodyProblem.ENCODED)


class _Plain:
    def __init__(self, largest: int) -> None:
        self._left = largest
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> Iterable[None]:
        self.add(piece)
        return ()

    def add(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise _UnreadableError(BodyProblem.TOO_LARGE)
        self._pieces.append(piece)

    def finish(self) -> list[bytes]:
        return self._pieces


class _PlainJson(_Plain):
    """A body with a Content-Encoding that is no coding, such as UTF-8: read if it is plain JSON."""

    def finish(self) -> list[bytes]:
        body = b"".join(super().finish())
        try:
            msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=msgspec.Raw)
        except ValueError:
            raise _UnreadableError(BodyProblem.ENCODED) from None
        return [body]


class _Gzip:
    def __init__(self, largest: int) -> None:
        self._plain = _Plain(largest)
        self._member = zlib.decompressobj(GZIP)
        self._empty = True

    def feed(self, piece: bytes) -> Iterator[None]:
        """Decompress *piece*; yield between parts of `PIECE` bytes."""
        more = False
        while piece or more:
            self._empty = False
            if self._member.eof:  # another member follows (RFC 1952: they are one body)
                self._member = zlib.decompressobj(GZIP)
                if piece[0] == 0:
                    raise _UnreadableError(BodyProblem.ZEROS)
            try:
                plain = self._member.decompress(piece, PIECE)
            except zlib.error:
                raise _UnreadableError(BodyProblem.BROKEN) from None
            self._plain.add(plain)
            piece = self._member.unconsumed_tail or self._member.unused_data
            # After a full piece there may be more output although all input was consumed.
            more = len(plain) == PIECE and not self._member.eof
            if piece or more:
                yield

    def finish(self) -> list[bytes]:
        if not self._empty and not self._member.eof:
            raise _UnreadableError(BodyProblem.BROKEN)
        return self._plain.finish()
