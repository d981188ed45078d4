"""JSONL: contacts as JSON lines, one object each."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import IO

from .._models import ContactPage
from .._serialize import to_dict
from ._atomic_file import replacing
from ._surrogates import replace_surrogates


async def export_jsonl(pages: AsyncGenerator[ContactPage, None], target: Path | str) -> None:
    """Write the contacts of *pages* to *target*, one JSON object per line, in UTF-8.

    Each object is what `to_dict` returns. A lone surrogate, which UTF-8 cannot encode, becomes
    U+FFFD. *target* is replaced when the file is complete, and has mode 0600. After an error or a
    cancellation the old file is unchanged, or there is none as before.

    Args:
        pages: what `Contacts.pages` returns. It is closed at the end, also after an error.
        target: path of the file; of a symbolic link the file it points to is replaced.

    Raises:
        OSError: the file cannot be written.
        ConfigurationError: *target* is not a regular file, or its folder does not exist. Raised
            before a page is requested.
    """
    async with aclosing(pages):
        with replacing(target) as file:
            await write_jsonl(pages, file)


async def write_jsonl(pages: AsyncGenerator[ContactPage, None], file: IO[str]) -> None:
    """Write the contacts of *pages* to an open text file, one JSON object per line.

    Neither *pages* nor *file* is closed, and *file* is not flushed.

    Raises:
        OSError: the file cannot be written.
    """
    async for page in pages:
        file.writelines(
            replace_surrogates(json.dumps(to_dict(contact), ensure_ascii=False)) + "\n"
            for contact in page
        )
