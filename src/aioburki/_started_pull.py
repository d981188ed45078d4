"""Started pull: a pull with the statistics of its requests, its report, and its events."""

from __future__ import annotations

import logging
import secrets
from typing import Any, Generic, TypeVar

import attrs

from ._event_sender import EventSender
from ._events import PullFinished, PullOutcome, PullStarted
from ._page import Page
from ._paging import Pull, PullProgress
from ._progress_bar import ProgressBar
from ._report import PullReport, named_problems
from ._requests import RequestStats

T = TypeVar("T")


def new_pull_id() -> str:
    """Return what identifies a pull: 16 characters, unique over all processes."""
    return secrets.token_hex(8)


@attrs.frozen
class StartedPull(Generic[T]):
    """A pull together with the statistics of its requests."""

    pull: Pull[T]
    stats: RequestStats
    is_complete: bool

    def report(self) -> PullReport:
        """Return what the pull has done so far."""
        return report_of(self.pull.progress, self.stats)


def report_of(progress: PullProgress, stats: RequestStats) -> PullReport:
    """Return what a pull has done so far."""
    return PullReport(
        contacts=progress.items,
        pages=progress.pages,
        requests=stats.requests,
        retries=stats.retries,
        rate_limited=stats.rate_limited,
        duplicates=progress.duplicates,
        elapsed=progress.elapsed,
        waited=stats.waited,
        drift=progress.changes(),
        proof=progress.proof,
        probes=progress.probes,
        missing=progress.missing,
        problems=named_problems((progress.unread.named, progress.unread.count)),
        problem_count=progress.unread.count,
    )


class PullEvents:
    """Send `PullStarted` and `PullFinished` of one pull, and move its progress bar on.

    Args:
        events: logs and sends events.
        started: the first event.
        stats: counts the requests of the pull.
        bar: the progress bar, or None.

    Attributes:
        progress: what the pull has delivered so far; set before the pull starts.
    """

    progress: PullProgress

    def __init__(
        self,
        events: EventSender,
        started: PullStarted,
        stats: RequestStats,
        bar: ProgressBar | None,
    ) -> None:
        self._events = events
        self._started = started
        self._stats = stats
        self._bar = bar

    def start(self) -> None:
        """Send `PullStarted`."""
        if self._events.is_wanted(logging.DEBUG):
            campaign = self._started.campaign_id
            self._events.send(self._started, logging.DEBUG, "campaign %d: pull started", campaign)

    def deliver(self, page: Page[Any]) -> None:
        """Move the progress bar on by the contacts of *page*."""
        if self._bar is not None:
            self._bar.deliver(page)

    def end(self, *, is_finished: bool, error: Exception | None) -> None:
        """Close the progress bar and send `PullFinished`."""
        if self._bar is not None:
            self._bar.end(is_finished=is_finished)
        if not self._events.is_wanted(logging.DEBUG):
            return
        outcome: PullOutcome = "done" if is_finished else "stopped" if error is None else "failed"
        report = report_of(self.progress, self._stats)
        event = PullFinished(
            pull_id=self._started.pull_id,
            campaign_id=self._started.campaign_id,
            outcome=outcome,
            report=report,
            error=error,
        )
        self._events.send(
            event, logging.DEBUG, "campaign %d: pull %s, %d contacts, %d requests, %.3f s",
            event.campaign_id, outcome, report.contacts, report.requests, report.elapsed,
        )  # fmt: skip
