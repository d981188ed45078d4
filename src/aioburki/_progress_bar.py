"""Progress bar: the contacts that a pull has delivered, in a terminal or a notebook."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from ._clock import loop_time
from ._extras import require
from ._page import Page
from ._paging import Bounds
from ._time_left import TimeLeft

DRAW_INTERVAL = 1.0  # seconds


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


class LiveBar:
    """A bar of *kind* that shows the time left by `TimeLeft`, and is drawn anew each second.

    tqdm's own figure is a smoothed rate of contacts, which stands still while nothing comes.

    Args:
        kind: the class of tqdm's bars.
        pause_left: returns the seconds for which nothing is requested, from now.
        options: arguments of *kind*.

    Attributes:
        bar: the bar.
    """

    def __init__(self, kind: type[Any], pause_left: Callable[[], float], **options: Any) -> None:
        self._pause_left = pause_left
        self._time_left = TimeLeft()
        self._now = 0.0
        self._timer: asyncio.TimerHandle | None = None

        class Bar(kind):  # type: ignore[misc] # a notebook has another class than a terminal
            @property
            def format_dict(bar) -> dict[str, Any]:  # noqa: N805 - `self` is the outer one
                shown: dict[str, Any] = super().format_dict
                left = (bar.total or 0) - bar.n
                seconds = self._time_left.seconds(self._now, left) if left > 0 else None
                return shown | ({} if not seconds else {"rate": left / seconds})

        self.bar: Any = Bar(**options)

    def record(self, count: int) -> None:
        """Move on by *count* contacts."""
        self._look()
        self._time_left.record(self._now, self.bar.n + count)
        self.bar.update(count)
        if self._timer is None:
            self._draw_later()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._timer is not None:
            self._timer.cancel()
        self.bar.close()

    def _draw(self) -> None:
        self._look()
        self.bar.refresh()
        self._draw_later()

    def _look(self) -> None:
        """Note the time and the pause, because tqdm draws in a thread of its own as well."""
        self._now = loop_time()
        self._time_left.record_pause(self._now, self._pause_left())

    def _draw_later(self) -> None:
        if not self.bar.disable:
            self._timer = asyncio.get_running_loop().call_later(DRAW_INTERVAL, self._draw)


class ProgressBar:
    """A `tqdm.auto` bar that a pull moves on with each page it delivers, and closes at its end.

    It appears with the first page, which says how many contacts there are.

    Args:
        name: what is pulled, such as ``"campaign 42"``.
        limit: maximum number of contacts; None for all.
        bounds: the part of the list that is pulled; None for all of it.
        pause_left: returns the seconds for which all requests are paused now.

    Raises:
        ModuleNotFoundError: tqdm is not installed (``pip install 'aioburki[cli]'``).
    """

    def __init__(
        self,
        name: str,
        limit: int | None,
        bounds: Bounds | None,
        pause_left: Callable[[], float] = lambda: 0.0,
    ) -> None:
        require("tqdm", "tqdm.auto")
        self._name = name
        self._limit = limit
        self._bounds = bounds
        self._pause_left = pause_left
        self._live: LiveBar | None = None

    def deliver(self, page: Page[Any]) -> None:
        """Move on by the contacts of *page*."""
        if self._live is None:
            from tqdm.auto import tqdm  # noqa: PLC0415 - tqdm is optional

            # In a notebook tqdm uses its own output. Without standard error there is none.
            self._live = LiveBar(
                tqdm,
                self._pause_left,
                desc=self._name,
                total=self._expected(page),
                unit=" contacts",
                unit_scale=True,
                file=BestEffortStream(sys.stderr),
                disable=sys.stderr is None,
            )
        bar = self._live.bar
        bar.total = max(self._expected(page), bar.n + len(page.items))
        self._live.record(len(page.items))

    def end(self, *, is_finished: bool) -> None:
        """Close the bar; *is_finished*: all has been delivered, however much the server counts."""
        if self._live is not None:
            if is_finished:
                self._live.bar.total = self._live.bar.n
            self._live.close()

    def _expected(self, page: Page[Any]) -> int:
        total = page.pagination.total_items
        if self._bounds is not None:
            end = min(self._bounds.end, total) if self._bounds.end else total
            total = max(0, end - self._bounds.offset)
        return total if self._limit is None else min(total, self._limit)
