"""JSONL: contacts as JSON lines, one object each."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, overload

import anyio.lowlevel

from .._contacts import Contacts
from .._report import PullReport
from .._serialize import to_dict
from .._surrogates import replace_surrogates
from ._export import export
from ._format import ROWS_PER_TURN, PageStream, Rows, TextFormat
from ._source import Pages


@overload
async def export_jsonl(
    source: Contacts, target: Path | str, *, resume: bool = False
) -> PullReport: ...
@overload
async def export_jsonl(
    source: Pages, target: Path | str, *, resume: Literal[False] = False
) -> None: ...
async def export_jsonl(
    source: Contacts | Pages,
    target: Path | str,
    *,
    resume: bool = False,
) -> PullReport | None:
    """Write the contacts of *source* to *target*, one JSON object per line, in UTF-8.

    Each object is what `to_dict` returns. A lone surrogate, which UTF-8 cannot encode, becomes
    U+FFFD. *target* is replaced when the file is complete, and has mode 0600. After an error or a
    cancellation the old file is unchanged, or there is none as before.

    Args:
        source: the contacts to pull, or an iterator of pages, such as `Contacts.pages` returns. A
            generator is closed at the end, also after an error.
        target: path of the file; of a symbolic link the file it points to is replaced.
        resume: whether to keep the contacts pulled so far if the export ends early, and to continue
            from an earlier call for the same contacts; see `aioburki.export`. Needs contacts
            that are pulled with ``complete=True``.

    Returns:
        The report of the pull, over all calls if it was resumed; None for pages.

    Raises:
        OSError: a file cannot be written.
        ConfigurationError: *source* is something else, or cannot be resumed; or *target* is not a
            regular file, or its folder does not exist; or the spool is of other contacts or used by
            another process. Raised before a page is requested.
        BurkiError: the pull has failed.
    """
    return await export(source, target, JSONL, resume=resume)


async def write_jsonl(pages: PageStream, file: IO[str]) -> None:
    """Write the contacts of *pages* to an open text file, one JSON object per line.

    Neither *pages* nor *file* is closed, and *file* is not flushed.

    Raises:
        OSError: the file cannot be written.
    """
    async for page in pages:
        file.writelines(_line(to_dict(contact)) for contact in page)


async def _write_pages(pages: PageStream, file: IO[str], _target: Path) -> None:
    await write_jsonl(pages, file)


async def _write_rows(rows: Rows, file: IO[str], count: int) -> None:
    """Write *count* rows to *file*."""
    lines = map(_line, rows())
    for _ in range(0, count, ROWS_PER_TURN):
        file.writelines(islice(lines, ROWS_PER_TURN))
        await anyio.lowlevel.checkpoint()


def _line(row: dict[str, Any]) -> str:
    return replace_surrogates(json.dumps(row, ensure_ascii=False)) + "\n"


JSONL = TextFormat(_write_pages, _write_rows)
"""JSON lines, one object each."""
