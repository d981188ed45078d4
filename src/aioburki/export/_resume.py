"""Resume: pull contacts into a spool, and continue from the spool of an earlier process."""

from __future__ import annotations

import logging

from .._contacts import Contacts
from .._errors import UnorderedListError
from .._range import ContactRange
from .._report import PullReport, named_problems
from .._stream import ContactStream
from ._spool import Progress, Spool
from ._tally import Tally

logger = logging.getLogger("aioburki")


async def pull_into(spool: Spool, contacts: Contacts, tally: Tally) -> None:
    """Pull those of *contacts* that are not in *spool* yet, into it.

    If the list has no usable order, or its order breaks in a later run, the spool is emptied, with
    a warning, and the pull starts anew. The contacts are then kept for writing the file, but the
    next process starts anew again. A cancellation keeps the pages pulled so far.

    Raises:
        BurkiError: the pull has failed; the pages before are kept.
        OSError: the spool cannot be written.
    """
    if not spool.progress.has_order and not spool.progress.is_ended:
        _begin_anew(spool)
    tally.resume(spool)
    while not (spool.progress.is_ended or await _pull_rest(spool, contacts, tally)):
        _begin_anew(spool)
        tally.resume(spool)


def _begin_anew(spool: Spool) -> None:
    logger.warning(
        "the pull of campaign %d cannot be resumed, because its list has no usable order: the %s "
        "contacts in %s are dropped, and the pull starts anew",
        spool.whole.campaign_id,
        f"{spool.contacts:,}",
        spool.path,
    )
    spool.begin()


async def _pull_rest(spool: Spool, contacts: Contacts, tally: Tally) -> bool:
    """Pull the range that is left; return False if its order broke before its end."""
    before, is_part, counted = spool.progress, spool.contacts > 0, 0
    if before.rest is None or (is_part and spool.contacts == contacts.limit):
        spool.end(before.report)  # the process before was killed between its last page and this
        return True
    part = contacts
    if is_part:
        limit = None if contacts.limit is None else contacts.limit - spool.contacts
        part = contacts.behind(before.rest, limit)
    async with part.stream() as stream:
        async for page in stream.pages():
            rest, has_order = _rest_of(stream)
            progress = Progress(
                rest=rest,
                has_order=has_order,
                # A list of one contact has no order, but its pull may be proved at its end.
                has_gaps=before.has_gaps or (stream.has_gaps and not stream.report.complete),
                report=_total(before.report, stream.report, is_part=is_part),
            )
            tally.add(spool.append(page, progress))
            if is_part and contacts.limit is None and not spool.is_of_a_range:
                counted = page.pagination.total_items  # a part does not count what is missing
    if is_part and not (stream.is_finished or spool.contacts == contacts.limit):
        return False
    report = _total(before.report, stream.report, is_part=is_part)
    spool.end(report, counted)
    return True


def _rest_of(stream: ContactStream) -> tuple[ContactRange | None, bool]:
    """Return the range that is left of *stream*, and whether its list has a usable order."""
    try:
        return stream.rest, True
    except UnorderedListError:
        return None, False


def _total(before: PullReport, part: PullReport, *, is_part: bool) -> PullReport:
    """Return the report of two runs together; *is_part*: the second pulled a range."""
    proof = part.proof
    if is_part:
        proof = "coverage" if part.complete else "none"
    return PullReport(
        contacts=before.contacts + part.contacts,
        pages=before.pages + part.pages,
        requests=before.requests + part.requests,
        retries=before.retries + part.retries,
        rate_limited=before.rate_limited + part.rate_limited,
        duplicates=before.duplicates + part.duplicates,
        elapsed=before.elapsed + part.elapsed,
        waited=before.waited + part.waited,
        drift=tuple(dict.fromkeys(before.drift + part.drift)),
        proof=proof,
        probes=before.probes + part.probes,
        missing=part.missing,
        problems=named_problems(
            (before.problems, before.problem_count), (part.problems, part.problem_count)
        ),
        problem_count=before.problem_count + part.problem_count,
    )
