"""Checks of events: starts and ends of pulls, and sums that must be those of the report."""

from __future__ import annotations

import math
from collections import defaultdict

from aioburki import (
    Event,
    PageFetched,
    PauseStarted,
    PullFinished,
    PullStarted,
    RequestFinished,
    RetryScheduled,
)


def problems(events: list[Event]) -> list[str]:
    """Return what is wrong with the events of pulls that have ended."""
    wrong: list[str] = []
    pulls: dict[str | None, list[Event]] = defaultdict(list)
    for event in events:
        pulls[event.pull_id].append(event)
    alone = pulls.pop(None, [])
    if not all(isinstance(each, RequestFinished | RetryScheduled | PauseStarted) for each in alone):
        wrong.append("something that is no pull looks like one")
    for pull_id, own in pulls.items():
        kinds = [type(event) for event in own]
        if kinds.count(PullStarted) != 1 or kinds.count(PullFinished) != 1:
            wrong.append(f"pull {pull_id} has other starts and ends: {kinds}")
            continue
        last = own[-1]
        if kinds[0] is not PullStarted or not isinstance(last, PullFinished):
            wrong.append(f"pull {pull_id} begins or ends with another event: {kinds}")
            continue
        wrong += _wrong_sums(own, last)
    return wrong


def _wrong_sums(own: list[Event], last: PullFinished) -> list[str]:
    report, requests = last.report, [each for each in own if isinstance(each, RequestFinished)]
    refused = [each for each in requests if each.outcome == "rate_limited"]
    figures = {
        "requests": (len(requests), report.requests),
        "retries": (sum(isinstance(each, RetryScheduled) for each in own), report.retries),
        "rate_limited": (len(refused), report.rate_limited),
    }
    wrong = [f"{name}: {got} and {said}" for name, (got, said) in figures.items() if got != said]
    waited = sum(each.waited for each in requests)
    if waited > report.waited + 1e-6:
        wrong.append(f"waited: {waited} and {report.waited}")
    is_whole = last.outcome == "done" and not any(each.outcome == "cancelled" for each in requests)
    if is_whole and not math.isclose(waited, report.waited, abs_tol=1e-6):
        wrong.append(f"waited: {waited}, not {report.waited}")
    pages = [each for each in own if isinstance(each, PageFetched)]
    if sum(each.outcome == "ok" for each in requests) != len(pages):
        wrong.append("the requests that succeeded are not the pages that came")
    if last.outcome == "done" and sum(each.contacts for each in pages) < report.contacts:
        wrong.append("more contacts were delivered than came")
    if (last.outcome == "failed") != (last.error is not None):
        wrong.append(f"outcome {last.outcome} with {last.error!r}")
    return wrong
