"""Ids: a checksum of contact ids in their order, taken in as they come, in constant memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

BLOCK = 1000


class Ids:
    """Add up ids; equal sums mean the same ids in the same order, each as often."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._block = array("q")
        self._count = 0
        for number in ids:
            self.add(number)

    def add(self, number: int) -> None:
        """Take in the next id."""
        self._block.append(number)
        if len(self._block) == BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._count += len(self._block)
        self._hash.update(self._block.tobytes())
        del self._block[:]

    def summary(self) -> dict[str, object]:
        """Return what was taken in, to be compared."""
        self._flush()
        return {"count": self._count, "digest": self._hash.hexdigest()}
