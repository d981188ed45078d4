"""Ids: a checksum of contact ids and their order, computed in constant memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

BLOCK = 1000


class Ids:
    """The number and the hash of a sequence of ids; equal summaries mean equal sequences."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._block = array("q")
        self._count = 0
        for number in ids:
            self.add(number)

    def add(self, number: int) -> None:
        """Add the next id."""
        self._block.append(number)
        if len(self._block) == BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._count += len(self._block)
        self._hash.update(self._block.tobytes())
        del self._block[:]

    def summary(self) -> dict[str, object]:
        """Return the number of ids and their hash."""
        self._flush()
        return {"count": self._count, "digest": self._hash.hexdigest()}
