"""Atomic file: a file that appears under its name only when all of it is on the disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .._errors import ConfigurationError


@contextmanager
def replacing(target: Path | str) -> Generator[IO[str]]:
    """Open a temporary text file that replaces *target* when the block ends without an error.

    The temporary file is in the folder of *target*, named ``.aioburki-….part``, with mode 0600. It
    is flushed to the disk before it is renamed. After an error or a cancellation it is removed and
    *target* is unchanged; a process that is killed can leave it behind. Of a symbolic link the file
    it points to is replaced.

    Raises:
        OSError: the file cannot be written.
        ConfigurationError: *target* is not a regular file, or its folder does not exist.
    """
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise ConfigurationError(f"there is no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise ConfigurationError(f"{target} exists and is not a regular file")
    # mkstemp sets O_EXCL, O_NOFOLLOW and mode 0600, whatever the umask.
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".aioburki-", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, so that the rename survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
