"""Printing: errors, the table of statuses and the line of the report, as text.

Standard output and standard error may be missing (None, as under pythonw or after ``>&-``), and
their readers may go away at any time. Neither is a failure once the contacts are written.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

from .._report import PullReport


def print_error(error: object, code: int) -> int:
    """Print *error* to standard error and return *code*."""
    print_if_possible(f"aioburki: {error}", sys.stderr)
    return code


def print_if_possible(text: str, file: TextIO | None) -> None:
    """Print *text* to *file*, or nothing if it is missing or its reader has gone away."""
    if file is None:
        return
    encoding = file.encoding or "utf-8"
    with suppress(OSError, ValueError):  # ValueError: it is closed
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=file)
    flush_if_possible(file)


def flush_if_possible(file: TextIO | None) -> None:
    """Flush *file*; if that fails, drop what it holds.

    Python would flush it again at exit, print an error and exit with 120:
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    if file is None:
        return
    try:
        file.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # a stream without a descriptor
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, file.fileno())
            os.close(null)


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
    if report.problem_count:
        parts.append(f"{_counted(report.problem_count, 'optional field')} not read")
    return ", ".join([*parts, f"{report.elapsed:.1f} s"])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
