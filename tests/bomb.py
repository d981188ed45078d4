"""Send a client a very large body; print its error and by how much its peak memory grew.

It runs in its own process, because the system reports the peak memory of a process only.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import zlib
from collections.abc import AsyncIterator

import httpx

from aioburki import BurkiClient, BurkiError
from aioburki._http.body import GZIP

PIECE = b'{"contacts": [' + b" " * (2**20 - 14)


class LargeBody(httpx.AsyncByteStream):
    """A body of *size* bytes when decompressed.

    *kind* is ``plain`` for no compression, ``members`` for one gzip member a piece; anything else
    means one gzip member.
    """

    def __init__(self, size: int, kind: str) -> None:
        self.size, self.kind = size, kind

    async def __aiter__(self) -> AsyncIterator[bytes]:
        compressor = zlib.compressobj(9, zlib.DEFLATED, GZIP)
        for _ in range(0, self.size, len(PIECE)):
            if self.kind == "plain":
                yield bytes(bytearray(PIECE))  # a new object each time
            else:
                yield compressor.compress(PIECE)
            if self.kind == "members":
                yield compressor.flush()
                compressor = zlib.compressobj(9, zlib.DEFLATED, GZIP)


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def main(encoding: str, size: int, kind: str) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": encoding} if encoding else {}
        return httpx.Response(200, headers=headers, stream=LargeBody(size, kind))

    async with BurkiClient("any", transport=httpx.MockTransport(respond)) as burki:
        idle = peak_memory()
        try:
            await burki.contacts(42)
        except BurkiError as error:
            print(type(error).__name__, peak_memory() - idle)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
