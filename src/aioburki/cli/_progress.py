"""Progress: a bar on standard error, and a line about a resumed export."""

from __future__ import annotations

import math
import sys
from typing import Self

from tqdm import tqdm

from .._clock import loop_time
from .._events import Event, PageFetched, PauseStarted
from .._progress_bar import BestEffortStream, LiveBar
from ..export import Spool
from ._printing import print_if_possible

# The other reasons are words already.
_CAUSES = {"rate_limited": "HTTP 429"}


class Progress:
    """A progress bar fed by the events of a pull: contacts, rate, time left, pages, pauses.

    Nothing that fails on standard error ends the pull.

    Args:
        enabled: whether to show it; None: if standard error is a terminal.
        limit: maximum number of contacts; None for all.

    Attributes:
        spool: the spool of a resumed export; None for others.
    """

    def __init__(self, enabled: bool | None, limit: int | None) -> None:
        if enabled is None or sys.stderr is None:
            enabled = sys.stderr is not None and sys.stderr.isatty()
        file = BestEffortStream(sys.stderr)
        options = {"unit": " contacts", "unit_scale": True, "disable": not enabled, "file": file}
        self._live = LiveBar(tqdm, self._pause_left, **options)
        self._bar = self._live.bar
        self._paused_until = -math.inf
        self._limit = limit
        self._pages = 0
        self._pauses = 0
        self.spool: Spool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.close()

    def resume(self, spool: Spool) -> None:
        """Start the bar at the contacts in *spool*, and print how many, if there are some."""
        self.spool = spool
        self._bar.initial = self._bar.n = spool.contacts
        if spool.contacts:
            begun = f"{spool.begun:%Y-%m-%d %H:%M} UTC"
            self._bar.clear()
            print_if_possible(
                f"aioburki: resuming behind {spool.contacts:,} contacts that are kept in "
                f"{spool.path} since {begun}",
                sys.stderr,
            )

    def show(self, event: Event) -> None:
        """Update the bar for *event*."""
        if isinstance(event, PageFetched):
            self._pages += 1
            expected = event.total_items
            if self._limit is not None:
                expected = min(expected, self._limit)
            self._bar.total = max(self._bar.total or 0, expected)
            self._live.record(min(event.contacts, self._bar.total - self._bar.n))
            self._bar.set_postfix_str(self._summary(event.total_pages), refresh=False)
        elif isinstance(event, PauseStarted):
            self._pauses += 1
            self._paused_until = loop_time() + event.seconds
            cause = _CAUSES.get(event.reason, event.reason.replace("_", " "))
            self._bar.set_postfix_str(f"paused for {event.seconds:.1f} s, {cause}")

    def _pause_left(self) -> float:
        return max(0.0, self._paused_until - loop_time())

    def _summary(self, total_pages: int) -> str:
        pauses = f", {self._pauses} pauses" if self._pauses else ""
        return f"page {self._pages}/{total_pages}{pauses}"
