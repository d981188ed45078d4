"""Printing: errors, the table of statuses and the line of the report, as text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping

from .._report import PullReport


def print_error(error: object, code: int) -> int:
    """Print *error* to standard error and return *code*."""
    print(f"aioburki: {error}", file=sys.stderr)
    return code


def status_table(statuses: Mapping[str, int]) -> str:
    """Return how many contacts have each status, the most frequent first, and their total."""
    counts: Counter[str] = Counter()
    for status, count in statuses.items():
        counts[printable(status)] += count
    rows = [*sorted(counts.items(), key=lambda item: -item[1]), ("total", counts.total())]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>12,}" for name, count in rows)


def printable(text: str) -> str:
    """Return *text* without terminal control sequences; the server may send any status."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def report_line(report: PullReport) -> str:
    """Return what a pull did, and whether it is proved complete, on one line."""
    proof = f"complete ({report.proof})"
    if not report.complete:
        missing = f"; the server counts {report.missing:,} more" if report.missing else ""
        proof = f"not proved complete ({report.proof}{missing})"
    parts = [_counted(report.contacts, "contact"), proof, _counted(report.requests, "request")]
    if report.probes:
        parts.append(_counted(report.probes, "probe"))
    return ", ".join([*parts, f"{report.elapsed:.1f} s"])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
