"""CSV: contacts as a table, one row each, with a column for each key that occurs."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, overload

import anyio.lowlevel

from .._contacts import Contacts
from .._report import PullReport
from .._serialize import to_dict
from .._surrogates import replace_surrogates
from ._export import export
from ._format import PageStream, Rows, TextFormat
from ._source import Pages

FIELDS = (
    "id", "phone_number", "status", "attempts", "created_at", "last_attempt_at",
    "company", "source", "extra",
)  # fmt: skip
"""The columns of every CSV file; the columns for the keys of `MAPPINGS` follow."""

# After this many cells, some milliseconds' work, other tasks on the event loop run. A row may have
# thousands of them, one for each key that any contact has.
CELLS_PER_TURN = 7000

MAPPINGS = ("variable_values", "custom_fields")
"""The mappings of `ContactData` that get a column for each key that occurs in them."""

# A number runs nothing: sign, digits, thousands separators, decimal point, exponent. A phone number
# in E.164 form is one.
_NUMBER = re.compile(
    r"[+-]?([0-9]+|[0-9]{1,3}([,'])[0-9]{3}(\2[0-9]{3})*)?(\.[0-9]+|(?<=[0-9])\.?)"
    r"([eE][+-]?[0-9]+)?"
)
# https://owasp.org/www-community/attacks/CSV_Injection. The last four are the full-width forms of
# the first four, which some spreadsheets treat alike.
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Characters that a spreadsheet may skip before it looks for a formula.
_SKIPPED = " \0\x0b\x0c\u00a0\u200b\ufeff"


@overload
async def export_csv(
    source: Contacts, target: Path | str, *, resume: bool = False
) -> PullReport: ...
@overload
async def export_csv(
    source: Pages, target: Path | str, *, resume: Literal[False] = False
) -> None: ...
async def export_csv(
    source: Contacts | Pages,
    target: Path | str,
    *,
    resume: bool = False,
) -> PullReport | None:
    """Write the contacts of *source* to *target* as CSV, in UTF-8.

    Columns: `FIELDS`, then one for each key of ``variable_values`` and ``custom_fields`` that
    occurs, such as ``custom_fields.customer_id``. Which keys occur is known only at the end, so the
    rows are kept in a file beside the target, not in memory. Each contact has a cell for each key,
    so a file with thousands of different keys is large and mostly empty. A cell that a spreadsheet
    would run as a formula gets an apostrophe before it; numbers, and phone numbers in E.164 form,
    are written unchanged. A lone surrogate, which UTF-8 cannot encode, becomes U+FFFD.

    *target* is replaced when the file is complete, and has mode 0600. After an error or a
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
    return await export(source, target, CSV, resume=resume)


async def _write_pages(pages: PageStream, file: IO[str], target: Path) -> None:
    """Write *pages* to *file*; their rows are spooled beside *target*."""
    with _spool_beside(target) as spool:
        columns, count = await _fill(spool, pages)
        spool.seek(0)
        await _write_table(file, (json.loads(line) for line in spool), columns, count)


async def _write_rows(rows: Rows, file: IO[str], count: int) -> None:
    """Write *count* rows, which are iterated over twice, to *file*."""
    columns: dict[tuple[str, str], None] = {}
    turns = _Turns()
    for keys in map(_columns_of, rows()):
        columns.update(dict.fromkeys(keys))
        await turns.count(len(FIELDS) + len(keys))
    await _write_table(file, rows(), columns, count)


def _columns_of(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, key) for name in MAPPINGS for key in row["contact_data"][name]]


CSV = TextFormat(_write_pages, _write_rows)
"""A table with a column for each key that occurs."""


class _Turns:
    """Let other tasks run after each `CELLS_PER_TURN` cells."""

    def __init__(self) -> None:
        self._left = CELLS_PER_TURN

    async def count(self, cells: int) -> None:
        """Count *cells* that were worked on; run other tasks if there have been enough."""
        self._left -= cells
        if self._left <= 0:
            self._left = CELLS_PER_TURN
            await anyio.lowlevel.checkpoint()


def _spool_beside(target: Path) -> IO[str]:
    """Open an unnamed temporary file on the file system that *target* is on."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", dir=target.parent)


# The next two functions keep no row in a local variable: error reporters show local variables when
# a page cannot be fetched or the disk is full.
async def _fill(spool: IO[str], pages: PageStream) -> tuple[dict[tuple[str, str], None], int]:
    """Write the contacts to *spool*.

    Return (mapping, key) of each key, in order of occurrence, and the number of rows.
    """
    columns: dict[tuple[str, str], None] = {}
    rows = 0
    turns = _Turns()
    async for page in pages:
        for contact in page:
            spool.write(json.dumps(to_dict(contact)) + "\n")
            for name in MAPPINGS:
                columns.update(((name, key), None) for key in getattr(contact.contact_data, name))
            keys = sum(len(getattr(contact.contact_data, name)) for name in MAPPINGS)
            await turns.count(len(FIELDS) + keys)
        rows += len(page)
    return columns, rows


async def _write_table(
    file: IO[str], rows: Iterator[dict[str, Any]], columns: Iterable[tuple[str, str]], count: int
) -> None:
    """Write the header and the *count* rows to *file*."""
    ordered = sorted(columns, key=lambda column: MAPPINGS.index(column[0]))
    writer = csv.writer(file)
    writer.writerow([*FIELDS, *(_cell(f"{name}.{key}") for name, key in ordered)])
    table = (_cells(row, ordered) for row in rows)
    rows_per_turn = max(1, CELLS_PER_TURN // (len(FIELDS) + len(ordered)))
    for _ in range(0, count, rows_per_turn):
        writer.writerows(islice(table, rows_per_turn))
        await anyio.lowlevel.checkpoint()


def _cells(row: dict[str, Any], columns: list[tuple[str, str]]) -> list[object]:
    """Return the cells of one row, in the order of `FIELDS` and *columns*."""
    data = row.pop("contact_data")
    row |= {"company": data["company"], "source": data["source"], "extra": data["extra"] or None}
    return [
        *(_cell(row[name]) for name in FIELDS),
        *(_cell(data[name].get(key)) for name, key in columns),
    ]


def _cell(value: object) -> object:
    """Return *value* as a cell: a plain number, or text that no spreadsheet runs as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return replace_surrogates(json.dumps(value, ensure_ascii=False))
    if not isinstance(value, str):
        return value
    text = replace_surrogates(value)
    if text.lstrip(_SKIPPED).startswith(_FORMULA_PREFIXES) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
