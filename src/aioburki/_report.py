"""Report: what a pull did, and what changed in the list meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs

from ._errors import IncompletePullError
from ._html import html_lines, html_table
from ._pydantic import data_schema

# Problems that a report names; the others are counted.
MAX_NAMED = 10


@attrs.frozen(kw_only=True)
class PullReport:
    """What a pull did, and whether the list was seen to change while it was read.

    Attributes:
        contacts: contacts on the pages delivered so far, each id once.
        pages: pages delivered so far.
        requests: HTTP requests sent, retries included; not attempts that found no connection.
        retries: requests repeated after a transient failure.
        rate_limited: responses of HTTP 429.
        duplicates: contacts left out because their id had been delivered already.
        elapsed: seconds from the first request until now, or until the end.
        waited: seconds spent in back-off, pauses and pacing, summed over requests that
            waited at the same time; it may exceed `elapsed`.
        drift: the changes of the list that were seen, one sentence each.
        consistent: whether `drift` is empty. True is no proof: a removal plus an addition
            between two pages leaves the counts unchanged.
        complete: whether it is proved that no contact that was in the list throughout is missing
            (with ``limit``: from those delivered). False before the end of a pull.
        proof: what proves it: ``"single page"``, the list was one answer; ``"coverage"``, every
            interval of the list's sort key was read; ``"count"``, as many distinct contacts as
            the server counts, which never changed (no proof, `complete` is False); ``"none"``.
        probes: requests sent to close seams between pages, or to read page 1 or the list again.
        missing: how many more contacts the server counts than were delivered; 0 if `complete`, of a
            range, and where ``limit`` was reached.
        problems: optional fields of the delivered contacts that could not be read and have their
            default: the first ten, each with its place and without its value, and a last line
            that counts the others if there are more.
        problem_count: how many such fields there are.
    """

    contacts: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    duplicates: int = 0
    elapsed: float = 0.0
    waited: float = 0.0
    drift: tuple[str, ...] = ()
    proof: Literal["single page", "coverage", "count", "none"] = "none"
    probes: int = 0
    missing: int = 0
    problems: tuple[str, ...] = ()
    problem_count: int = 0
    consistent: bool = attrs.field(
        init=False, default=attrs.Factory(lambda report: not report.drift, takes_self=True)
    )
    complete: bool = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda report: report.proof in ("single page", "coverage"), takes_self=True
        ),
    )

    def raise_if_incomplete(self) -> None:
        """Return if `complete` is True.

        Raises:
            IncompletePullError: it is not proved that every contact was delivered.
        """
        if not self.complete:
            missing = f"; the server counts {self.missing:,} more" if self.missing else ""
            raise IncompletePullError(
                f"{self.contacts:,} contacts were delivered, but it is not proved that these are "
                f"all (proof: {self.proof}{missing})",
                report=self,
            )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the summary, and the numbers as a table."""
        names = [field.name for field in attrs.fields(PullReport)]
        numbers = {
            name: f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
            for name in names
            if type(value := getattr(self, name)) in (int, float)
        }
        return html_lines(report_summary(self)) + html_table(list(numbers), [[*numbers.values()]])

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        return data_schema(cls, handler)


def report_summary(report: PullReport) -> tuple[str, ...]:
    """Return sentences: whether the contacts are complete, what it took, drift and problems."""
    proved = f"complete ({report.proof})" if report.complete else "not proved complete"
    missing = f": the server counts {report.missing:,} more" if report.missing else ""
    cost = f"{_counted(report.requests, 'request')}, {_counted(report.probes, 'probe')}"
    return (f"{proved}{missing}; {cost}, {report.elapsed:.1f} s", *report.drift, *report.problems)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def named_problems(*parts: tuple[Sequence[str], int]) -> tuple[str, ...]:
    """Return `PullReport.problems` of several pulls: the first of all, and a count of the others.

    Args:
        parts: of each pull the problems that it names, in a report's form, and their number.
    """
    named: list[str] = []
    for problems, count in parts:
        named += problems[: min(count, MAX_NAMED)]
    named = named[:MAX_NAMED]
    others = sum(count for _, count in parts) - len(named)
    return (*named, f"and {others:,} more") if others else tuple(named)
