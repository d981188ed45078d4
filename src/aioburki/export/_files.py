"""Export: contacts to a CSV or JSONL file that is there complete or not at all.

A file appears under its name when everything is in it and on the disk; until then it is a
temporary file beside it, mode 0600, which an error or a cancellation removes.
"""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import aclosing, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import anyio.lowlevel

from .._errors import ConfigurationError
from .._models import ContactPage
from .._serialize import to_dict

FIELDS = (
    "id", "phone_number", "status", "attempts", "created_at", "last_attempt_at",
    "company", "source", "extra",
)  # fmt: skip
"""The columns that every CSV file has; those of `MAPPINGS` follow."""

MAPPINGS = ("variable_values", "custom_fields")

# Between so many rows the event loop gets its turn.
ROWS_AT_A_TIME = 500

# E.164; the only text that may begin with a plus and stay as it is.
_PHONE_NUMBER = re.compile(r"\+[0-9]{6,15}")
# The last four are the full-width forms of the first, which some spreadsheets take for them.
_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# What a spreadsheet may pass over before it looks for a formula.
_INVISIBLE = " \0\x0b\x0c\u00a0\u200b\ufeff"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")

Row = dict[str, Any]
Pages = AsyncGenerator[ContactPage, None]


async def export_csv(pages: Pages, target: Path | str) -> None:
    """Write the contacts of *pages* to *target* as CSV, in UTF-8.

    Columns: `FIELDS`, then one for each key of ``variable_values`` and ``custom_fields``
    that occurs, as in ``custom_fields.customer_id``. Which occur is known at the end only,
    so the rows wait in an unnamed file beside the target, not in memory. A cell that a
    spreadsheet would run as a formula gets an apostrophe before it; a phone number in E.164
    stays as it is. Half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.

    *pages* is what `Contacts.pages` returns; it is closed at the end, however that comes.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
        ConfigurationError: *target* is something other than a file, or in no folder.
    """
    async with aclosing(pages):
        with replacing(target) as file, _spool_beside(target) as spool:
            columns, rows = await _fill(spool, pages)
            await _write_table(file, spool, columns, rows)


# The next two keep no row in a local variable: error reporters show those when a page cannot be
# fetched or the disk is full.
async def _fill(spool: IO[str], pages: Pages) -> tuple[dict[tuple[str, str], None], int]:
    """Write the contacts to *spool*; return the mappings and keys that occur, and the rows."""
    columns: dict[tuple[str, str], None] = {}
    rows = 0
    async for page in pages:
        for contact in page:
            spool.write(json.dumps(to_dict(contact)) + "\n")
            for name in MAPPINGS:
                columns.update(((name, key), None) for key in getattr(contact.contact_data, name))
        rows += len(page)
    return columns, rows


async def _write_table(
    file: IO[str], spool: IO[str], columns: Iterable[tuple[str, str]], rows: int
) -> None:
    spool.seek(0)
    ordered = sorted(columns, key=lambda column: MAPPINGS.index(column[0]))
    writer = csv.writer(file)
    writer.writerow([*FIELDS, *(_cell(f"{name}.{key}") for name, key in ordered)])
    table = (_cells(json.loads(line), ordered) for line in spool)
    for _ in range(0, rows, ROWS_AT_A_TIME):
        writer.writerows(islice(table, ROWS_AT_A_TIME))
        await anyio.lowlevel.checkpoint()


async def export_jsonl(pages: Pages, target: Path | str) -> None:
    """Write the contacts of *pages* to *target*, one JSON object a line, as `to_dict` gives it.

    *pages* is what `Contacts.pages` returns; it is closed at the end, however that comes.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
        ConfigurationError: *target* is something other than a file, or in no folder.
    """
    async with aclosing(pages):
        with replacing(target) as file:
            await write_jsonl(pages, file)


async def write_jsonl(pages: Pages, file: IO[str]) -> None:
    """Write the contacts of *pages* to an open file, one JSON object a line."""
    async for page in pages:
        file.writelines(
            _whole_characters(json.dumps(to_dict(contact), ensure_ascii=False)) + "\n"
            for contact in page
        )


@contextmanager
def replacing(target: Path | str) -> Generator[IO[str]]:
    """Open a temporary file that becomes *target* when the block ends, or is gone if it fails.

    Of a symbolic link the file it points to is replaced.

    Raises:
        OSError: it cannot be written.
        ConfigurationError: *target* is something other than a file, or in no folder.
    """
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise ConfigurationError(f"there is no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise ConfigurationError(f"{target} is there already, and is no file")
    # mkstemp: O_EXCL, O_NOFOLLOW and mode 0600, whatever the umask.
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


def _spool_beside(target: Path | str) -> IO[str]:
    folder = Path(os.path.realpath(target)).parent
    return tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cells(row: Row, columns: list[tuple[str, str]]) -> list[object]:
    data = row.pop("contact_data")
    row |= {"company": data["company"], "source": data["source"], "extra": data["extra"] or None}
    return [
        *(_cell(row[name]) for name in FIELDS),
        *(_cell(data[name].get(key)) for name, key in columns),
    ]


def _cell(value: object) -> object:
    """Return what goes into a cell: text that is safe in a spreadsheet, or a plain number."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return _whole_characters(json.dumps(value, ensure_ascii=False))
    if not isinstance(value, str):
        return value
    text = _whole_characters(value)
    if text.lstrip(_INVISIBLE).startswith(_STARTS_FORMULA) and not _PHONE_NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _whole_characters(text: str) -> str:
    return _HALF_CHARACTER.sub("\ufffd", text)
