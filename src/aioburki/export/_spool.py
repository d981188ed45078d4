"""Spool: the contacts of an export pulled so far, and the range that is left, beside its target.

A file of lines. The first names the campaign, the filter and the limit. Each further one holds the
contacts of one page together with the range that is left behind them, so that a process that is
killed between two lines neither loses nor doubles a contact. The target's format is not used here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import anyio.lowlevel
import attrs

from .._errors import ConfigurationError
from .._models import Contact, ContactPage
from .._paging import SeenIds
from .._range import ContactRange
from .._report import PullReport
from .._serialize import to_dict
from ._spool_file import SpoolFile

# Raised with every change that an older version cannot read.
VERSION = 1
_START = '{"aioburki-resume": '

_COUNTERS = (
    "contacts", "pages", "requests", "retries", "rate_limited", "duplicates", "elapsed", "waited",
    "drift", "proof", "probes", "missing", "problems", "problem_count",
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Progress:
    """The state of a pull after one page.

    Attributes:
        rest: the range that is left; None if nothing is, or if the list has no usable order.
        has_order: whether the pull can be resumed.
        has_gaps: whether contacts may have been missed.
        is_ended: whether nothing more is to be pulled.
        report: the report up to here, over all processes.
    """

    rest: ContactRange | None
    has_order: bool = True
    has_gaps: bool = False
    is_ended: bool = False
    report: PullReport = attrs.Factory(PullReport)


class Spool:
    """Keep the contacts pulled so far in a file beside the target of an export.

    Args:
        target: the file that is exported to; the spool is ``.NAME.aioburki-resume`` beside it.
        whole: the range that is exported.
        limit: maximum number of contacts; None for all.

    Attributes:
        whole: the range that is exported.
        limit: maximum number of contacts; None for all.
        begun: when the first process began.
        contacts: number of contacts that are kept.
        statuses: how many of them have each status.
        progress: how far the pull is.

    Raises:
        ConfigurationError: another process uses the spool, or it is not a private regular file.
        OSError: it cannot be opened.
    """

    def __init__(self, target: Path, whole: ContactRange, limit: int | None) -> None:
        self._file = SpoolFile(target.with_name(f".{target.name}.aioburki-resume"))
        self.whole = whole
        self.limit = limit
        self._is_new = False
        self._forget()

    def _forget(self) -> None:
        self.begun = datetime.now(UTC)
        self.contacts = 0
        self.statuses: Counter[str] = Counter()
        self.progress = Progress(rest=self.whole)
        self._seen = SeenIds()
        self._has_repeats = False

    @property
    def path(self) -> Path:
        """The path of the spool."""
        return self._file.path

    @property
    def is_of_a_range(self) -> bool:
        """Whether a part of a list is exported, not all of it."""
        return _is_part(self.whole)

    async def load(self) -> None:
        """Read the spool of an earlier process; begin a new one if there is none.

        Raises:
            ConfigurationError: the spool is of other contacts, or no spool at all.
            OSError: it cannot be read.
        """
        lines = self._file.load()
        first = next(lines, None)
        if first is None:
            if not self._file.is_torn_before(_START.encode()):
                raise ConfigurationError(f"{self.path} cannot be read: delete it to start anew")
            self.begin()
            return
        header = self._header(first)
        is_same = header["range"] == str(self.whole) and header["limit"] == self.limit
        if not is_same and next(lines, None) is not None:
            raise ConfigurationError(
                f"{self.path} holds contacts of another pull, of {_described(header)}, begun "
                f"{header['begun']}: finish that pull with the arguments that it was begun with, "
                "or delete the file to start anew"
            )
        for line in lines:
            self._take(line)
            await anyio.lowlevel.checkpoint()
        if self.progress.report.pages == 0:
            self.begin()
            return
        self.begun = datetime.fromisoformat(header["begun"])
        self._file.cut()

    def begin(self) -> None:
        """Empty the spool, and begin a new one.

        Raises:
            OSError: it cannot be written.
        """
        self._forget()
        self._is_new = True
        header = {
            "begun": self.begun.isoformat(timespec="seconds"),
            "range": str(self.whole),
            "limit": self.limit,
        }
        self._file.clear()
        self._file.append(f"{_START}{VERSION}, {json.dumps(header)[1:]}".encode())
        self._file.sync()

    # No row is in a local variable here: error reporters show these when the disk is full.
    def append(self, page: ContactPage, progress: Progress) -> ContactPage:
        """Write *page*, without contacts that are in the spool already, together with *progress*.

        Returns:
            The page as it was written.

        Raises:
            OSError: it cannot be written; the pages before are not affected.
        """
        flags = self._seen.add([contact.id for contact in page])
        if not all(flags):
            # The contact was read before under another key, so the order proves nothing.
            new = (each for each, is_new in zip(page, flags, strict=True) if is_new)
            page = ContactPage(tuple(new), page.pagination)
            self._has_repeats = True
        progress = attrs.evolve(progress, has_gaps=progress.has_gaps or self._has_repeats)
        self._write(page.contacts, progress)
        self._count([contact.status for contact in page], progress)
        return page

    def end(self, report: PullReport, counted: int = 0) -> None:
        """Write that nothing more is to be pulled, and the *report* of all runs.

        The report is not complete if contacts may have been missed in any run.

        Args:
            report: the report; its `missing` is kept if *counted* is 0.
            counted: how many contacts the server counts in all; 0 if that is not known.

        Raises:
            OSError: it cannot be written.
        """
        report = attrs.evolve(report, contacts=self.contacts)
        if report.complete and self.progress.has_gaps:
            report = attrs.evolve(report, proof="none")
        if counted and not report.complete:
            report = attrs.evolve(report, missing=max(0, counted - self.contacts))
        progress = attrs.evolve(self.progress, is_ended=True, report=report)
        self._write((), progress)
        self.progress = progress

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return an iterator over the contacts in the spool, as `to_dict` returns them.

        Raises:
            OSError: the spool cannot be read.
        """
        lines = self._file.lines()
        next(lines)
        return chain.from_iterable(map(_rows_of, lines))

    def remove(self) -> None:
        """Delete the spool."""
        self._file.remove()

    def close(self) -> None:
        """Close the spool, and delete it if it is new and holds no contacts."""
        if self._is_new and not self.contacts and not self.progress.is_ended:
            self._file.remove()
        self._file.close()

    def _header(self, line: bytes) -> dict[str, Any]:
        header: dict[str, Any] = json.loads(line)
        version = header.get("aioburki-resume")
        if version != VERSION:
            raise ConfigurationError(
                f"{self.path} is of another version of aioburki: finish with that one, or delete "
                "the file to start anew"
            )
        return header

    def _take(self, line: bytes) -> None:
        """Count the contacts of a line of the file."""
        record = json.loads(line)
        rest, report = record["rest"], record["report"]
        progress = Progress(
            rest=None if rest is None else ContactRange.parse(rest),
            has_order=record["has_order"],
            has_gaps=record["has_gaps"],
            is_ended=record["is_ended"],
            report=_report_of(report),
        )
        self._seen.add([row["id"] for row in record["rows"]])
        self._count([row["status"] for row in record["rows"]], progress)

    def _count(self, statuses: list[str], progress: Progress) -> None:
        self.contacts += len(statuses)
        self.statuses.update(statuses)
        self.progress = progress

    def _write(self, contacts: tuple[Contact, ...], progress: Progress) -> None:
        report = to_dict(progress.report)
        self._file.append(
            json.dumps(
                {
                    "rows": [to_dict(contact) for contact in contacts],
                    "rest": None if progress.rest is None else str(progress.rest),
                    "has_order": progress.has_order,
                    "has_gaps": progress.has_gaps,
                    "is_ended": progress.is_ended,
                    "report": {name: report[name] for name in _COUNTERS},
                }
            ).encode()
        )


def _report_of(counters: dict[str, Any]) -> PullReport:
    # An older version wrote no problems; those of later runs are counted.
    texts: dict[str, Any] = {name: tuple(counters.get(name, ())) for name in ("drift", "problems")}
    return PullReport(**counters | texts)


def _rows_of(line: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(line)["rows"]
    return rows


def _described(header: dict[str, Any]) -> str:
    try:
        part = ContactRange.parse(header["range"])
    except ConfigurationError:
        return "another version of aioburki"
    status = ", all statuses" if part.status is None else f", status {part.status}"
    limit = "without a limit" if header["limit"] is None else f"limit {header['limit']:,}"
    inside = ", a range of it" if _is_part(part) else ""
    return f"campaign {part.campaign_id}{status}, {limit}{inside}, on {part.server}"


def _is_part(part: ContactRange) -> bool:
    return part.after is not None or part.until is not None
