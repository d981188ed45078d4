"""Send a client a body that never seems to end; print its error and what its memory grew by.

A process of its own, because the system counts the most memory of a process and no less.
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


class Bomb(httpx.AsyncByteStream):
    """A body of *size* bytes, unpacked, in one gzip member, in many, or as it is."""

    def __init__(self, size: int, kind: str) -> None:
        self.size, self.kind = size, kind

    async def __aiter__(self) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
        for _ in range(0, self.size, len(PIECE)):
            if self.kind == "plain":
                yield bytes(bytearray(PIECE))  # each in memory of its own
            else:
                yield packer.compress(PIECE)
            if self.kind == "members":
                yield packer.flush()
                packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)


def peak() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


async def main(encoding: str, size: int, kind: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": encoding} if encoding else {}
        return httpx.Response(200, headers=headers, stream=Bomb(size, kind))

    async with BurkiClient("any", transport=httpx.MockTransport(answer)) as burki:
        idle = peak()
        try:
            await burki.contacts(42)
        except BurkiError as error:
            print(type(error).__name__, peak() - idle)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
