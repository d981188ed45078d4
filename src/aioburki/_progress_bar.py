"""Progress bar: the contacts that a pull has delivered, in a terminal or a notebook."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, TextIO

from ._extras import require
from ._page import Page
from ._paging import Bounds


class BestEffortStream:
    """A text stream whose reader may go away."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write *text*, if that is possible."""
        with suppress(OSError):
            print(text, end="", file=self._file)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with suppress(OSError):
            print(end="", file=self._file, flush=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class ProgressBar:
    """A `tqdm.auto` bar that a pull moves on with each page it delivers, and closes at its end.

    It appears with the first page, which says how many contacts there are.

    Args:
        name: what is pulled, such as ``"campaign 42"``.
        limit: maximum number of contacts; None for all.
        bounds: the part of the list that is pulled; None for all of it.

    Raises:
        ModuleNotFoundError: tqdm is not installed (``pip install 'aioburki[cli]'``).
    """

    def __init__(self, name: str, limit: int | None, bounds: Bounds | None) -> None:
        require("tqdm", "tqdm.auto")
        self._name = name
        self._limit = limit
        self._bounds = bounds
        self._bar: Any = None

    def deliver(self, page: Page[Any]) -> None:
        """Move on by the contacts of *page*."""
        if self._bar is None:
            from tqdm.auto import tqdm  # noqa: PLC0415 - tqdm is optional

            # In a notebook tqdm uses its own output. Without standard error there is none.
            self._bar = tqdm(
                desc=self._name,
                total=self._expected(page),
                unit=" contacts",
                unit_scale=True,
                file=BestEffortStream(sys.stderr),
                disable=sys.stderr is None,
            )
        self._bar.total = max(self._expected(page), self._bar.n + len(page.items))
        self._bar.update(len(page.items))

    def end(self, *, is_finished: bool) -> None:
        """Close the bar; *is_finished*: all has been delivered, however much the server counts."""
        if self._bar is not None:
            if is_finished:
                self._bar.total = self._bar.n
            self._bar.close()

    def _expected(self, page: Page[Any]) -> int:
        total = page.pagination.total_items
        if self._bounds is not None:
            end = min(self._bounds.end, total) if self._bounds.end else total
            total = max(0, end - self._bounds.offset)
        return total if self._limit is None else min(total, self._limit)
