"""Spool file: lines with checksums in a locked file, whose torn tail is cut off."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import re
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._errors import ConfigurationError

logger = logging.getLogger("aioburki")

# Seconds between two writes to the disk: a power failure loses at most that much work. A process
# that is killed loses nothing, because the operating system has what it has written.
SYNC_SECONDS = 1.0

_CHECK = 8  # hexadecimal digits of a CRC-32; a space follows them
# The checksum of a line without an end, or its first digits.
_TORN_CHECK = re.compile(rb"([0-9a-f]{8} |[0-9a-f]{0,8}\Z)(?!.*\n)", re.DOTALL)


class SpoolFile:
    """Append lines, each behind its checksum, to a file that one process uses at a time.

    It has mode 0600. An existing one is refused if it is a link or no regular file, or if another
    user owns it or can read it. The lock is that of ``flock``: it ends with the process, however
    that ends.

    Args:
        path: where the file is, or is created.

    Attributes:
        path: the same.

    Raises:
        ConfigurationError: another process uses it, it is refused, or the system has no ``flock``.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open_locked(path)
        self._end = 0
        self._is_removed = False
        self._synced = time.monotonic()

    def is_torn_before(self, start: bytes) -> bool:
        """Return whether the file ends inside its first line, which may have begun with *start*."""
        with self._reader() as file:
            line = file.readline()
        begun = _TORN_CHECK.match(line)
        return begun is not None and start.startswith(line[begun.end() :][: len(start)])

    def load(self) -> Iterator[bytes]:
        """Yield the text of each line up to the first torn one; `append` continues there."""
        self._end = 0
        with self._reader() as file:
            while (text := _checked(file.readline())) is not None:
                self._end = file.tell()
                yield text
                del text

    def lines(self) -> Iterator[bytes]:
        """Yield the text of each line that was loaded or appended.

        Raises:
            OSError: the file cannot be read, or a line has changed since.
        """
        with self._reader() as file:
            while file.tell() < self._end:
                text = _checked(file.readline())
                if text is None:
                    raise OSError(errno.EIO, "a line of the file has changed", str(self.path))
                yield text
                del text

    def cut(self) -> None:
        """Cut off everything behind the lines that were loaded."""
        os.ftruncate(self._descriptor, self._end)

    def clear(self) -> None:
        """Cut off everything."""
        self._end = 0
        self.cut()

    def append(self, text: bytes) -> None:
        """Write *text*, which has no line break, as a line at the end.

        Raises:
            OSError: it cannot be written; a torn line may be left.
        """
        rest = memoryview(b"%s %s\n" % (_check_of(text), text))
        del text  # reporters of errors show local variables
        while rest:
            try:
                written = os.pwrite(self._descriptor, rest, self._end)
            except OSError as error:
                error.filename = str(self.path)
                raise
            self._end += written
            rest = rest[written:]
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Write the appended lines to the disk."""
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def remove(self) -> None:
        """Delete the file; it stays locked until it is closed.

        That it cannot be deleted is logged: the contacts are in the target already.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s cannot be deleted: %s", self.path, error.strerror)
        self._is_removed = True

    def close(self) -> None:
        """Write the appended lines to the disk, and close the file, which unlocks it."""
        try:
            if not self._is_removed:
                self.sync()
        finally:
            os.close(self._descriptor)

    def _reader(self) -> Any:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return open(self._descriptor, "rb", closefd=False)


def _check_of(text: bytes) -> bytes:
    return b"%0*x" % (_CHECK, zlib.crc32(text))


def _checked(line: bytes) -> bytes | None:
    """Return the text of *line*, or None if it is torn."""
    text = line[_CHECK + 1 : -1]
    return text if line.endswith(b"\n") and line[:_CHECK] == _check_of(text) else None


def _open_locked(path: Path) -> int:
    try:
        fcntl = importlib.import_module("fcntl")
    except ModuleNotFoundError:
        raise ConfigurationError(
            "resume=True needs the file locks of POSIX, which this system does not have"
        ) from None
    while True:
        descriptor = _open(path)
        try:
            _check_private(path, os.fstat(descriptor))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigurationError(
                f"another process is writing to {path}: wait until it has ended"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process removed the file after it was opened here


def _open(path: Path) -> int:
    # O_NONBLOCK, so that a pipe of that name is refused and not waited for.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise _refusal(path) from None
        raise


def _check_private(path: Path, status: os.stat_result) -> None:
    is_private = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
    # It has no name any more where another process has just removed it.
    if not (stat.S_ISREG(status.st_mode) and is_private and status.st_nlink <= 1):
        raise _refusal(path)


def _refusal(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} must be a regular file that you own and nobody else can read: delete it"
    )


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
