"""Body: the bytes of an answer, decompressed piece by piece and never beyond a bound."""

from __future__ import annotations

import zlib
from enum import Enum

import httpx

# A page of 1,000 contacts is about 300 KB; with generous imported fields a few MB.
LARGEST_BODY = 64 * 1024 * 1024
PIECE = 256 * 1024

GZIP = 16 + zlib.MAX_WBITS


class BodyProblem(Enum):
    """Why a body could not be had; the value says it in words."""

    TOO_LARGE = f"the answer is larger than {LARGEST_BODY // 2**20} MiB"
    BROKEN = "the compressed body is not complete"
    ENCODED = "the body is in an encoding that was not asked for"
    TAKEN = "something else has read the body, such as a hook of http_client"


class _UnreadableError(Exception):
    def __init__(self, problem: BodyProblem) -> None:
        self.problem = problem


async def read_body(response: httpx.Response, largest: int = LARGEST_BODY) -> bytes | BodyProblem:
    """Return the decompressed body of *response*, at most *largest* bytes, or why there is none.

    Reads the stream itself: httpx would decompress without a bound and drop all but the
    first of several gzip members. A body that is there already, of a mock or because a
    hook has read it, is taken as it is. Errors of the connection come as httpx raises them.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        reader = _reader(response.headers.get("content-encoding", ""), largest)
        if response.is_stream_consumed:
            reader = _Plain(largest)
            reader.feed(response.content)
            return reader.finish()
        async for piece in response.stream:
            reader.feed(piece)
        return reader.finish()
    except _UnreadableError as error:
        return error.problem
    except httpx.ResponseNotRead:
        return BodyProblem.TAKEN


def _reader(encoding: str, largest: int) -> _Plain | _Gzip:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain(largest)
        case "gzip" | "x-gzip":
            return _Gzip(largest)
        case _:
            raise _UnreadableError(BodyProblem.ENCODED)


class _Plain:
    def __init__(self, largest: int) -> None:
        self._left = largest
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise _UnreadableError(BodyProblem.TOO_LARGE)
        self._pieces.append(piece)

    def finish(self) -> bytes:
        return b"".join(self._pieces)


class _Gzip:
    def __init__(self, largest: int) -> None:
        self._plain = _Plain(largest)
        self._member = zlib.decompressobj(GZIP)
        self._empty = True

    def feed(self, piece: bytes) -> None:
        more = False
        while piece or more:
            self._empty = False
            if self._member.eof:  # another member follows; together they are one body
                self._member = zlib.decompressobj(GZIP)
            try:
                plain = self._member.decompress(piece, PIECE)
            except zlib.error:
                raise _UnreadableError(BodyProblem.BROKEN) from None
            self._plain.feed(plain)
            piece = self._member.unconsumed_tail or self._member.unused_data
            # A full piece may have left output behind although all input was taken.
            more = len(plain) == PIECE and not self._member.eof

    def finish(self) -> bytes:
        if not self._empty and not self._member.eof:
            raise _UnreadableError(BodyProblem.BROKEN)
        return self._plain.finish()
