"""Atomic file: a file that appears under its name only when all of it is on the disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .._errors import ConfigurationError


def checked_target(target: Path | str) -> Path:
    """Return the path of the file to replace; of a symbolic link, of what it points to.

    Raises:
        ConfigurationError: *target* is not a regular file, or its folder does not exist.
    """
    path = Path(os.path.realpath(target))
    if not path.parent.is_dir():
        raise ConfigurationError(f"there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"{path} exists and is not a regular file")
    return path


@contextmanager
def replacing(
    target: Path | str, temporary: Path | None = None, *, is_text: bool = True
) -> Generator[IO[Any]]:
    """Open a temporary file that replaces *target* when the block ends without an error.

    The temporary file has mode 0600. It is flushed to the disk before it is renamed. After an error
    or a cancellation it is removed and *target* is unchanged; a process that is killed can leave it
    behind. Once it is renamed nothing is an error any more. Of a symbolic link the file it points
    to is replaced.

    Args:
        target: path of the file.
        temporary: path of the temporary file, in the same folder; an old one there is removed. By
            default a new name, ``.aioburki-….part``, in the folder of *target*.
        is_text: whether text is written to it, in UTF-8, or bytes.

    Raises:
        OSError: the file cannot be written.
        ConfigurationError: *target* is not a regular file, or its folder does not exist.
    """
    target = checked_target(target)
    descriptor, name = _created(target.parent, temporary)
    try:
        with _opened(descriptor, is_text=is_text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException as error:
        with suppress(OSError):  # the error that is raised says more
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(target)  # writing to an open file names none
        raise
    sync_folder(target.parent)


def _created(folder: Path, temporary: Path | None) -> tuple[int, str]:
    """Return the descriptor and the path of a new file with mode 0600."""
    if temporary is None:
        # mkstemp sets O_EXCL, O_NOFOLLOW and mode 0600, whatever the umask.
        return tempfile.mkstemp(dir=folder, prefix=".aioburki-", suffix=".part")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(temporary, flags, 0o600), str(temporary)


def _opened(descriptor: int, *, is_text: bool) -> IO[Any]:
    if is_text:
        return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
    return os.fdopen(descriptor, "wb")


def sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, so that a rename survives a power failure.

    Not every folder can be opened (EACCES), and not every file system can do it (EINVAL).
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
