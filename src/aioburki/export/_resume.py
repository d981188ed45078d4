"""Resume: pull contacts into a spool, and go on with what it keeps of an earlier process."""

from __future__ import annotations

import logging

from .._contacts import Contacts
from .._errors import UnorderedListError
from .._range import ContactRange
from .._report import PullReport
from .._stream import ContactStream
from ._spool import Progress, Spool
from ._tally import Tally

logger = logging.getLogger("aioburki")


async def pull_into(spool: Spool, contacts: Contacts, tally: Tally) -> None:
    """Pull what *spool* does not keep yet of *contacts*, and keep it.

    Where the list has no usable order, or its order breaks behind what is kept, that is dropped,
    with a warning, and the pull starts anew. Such a pull is kept too, so that the file can be
    written from it, but the next process starts anew again.

    Raises:
        BurkiError: the pull has failed; what came before is kept.
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
        "campaign %d cannot be read on from where it stopped, because its list has no usable "
        "order: the %s contacts in %s are dropped, and the pull starts anew",
        spool.whole.campaign_id,
        f"{spool.contacts:,}",
        spool.path,
    )
    spool.begin()


async def _pull_rest(spool: Spool, contacts: Contacts, tally: Tally) -> bool:
    """Pull what is left; return False if it was not read to its end behind what is kept."""
    before, is_part, counted = spool.progress, spool.contacts > 0, 0
    if before.rest is None or (is_part and spool.contacts == contacts.limit):
        spool.end(before.report)  # only this was left to do when the process before was killed
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
                # The end of a pull shows an order that one contact does not show.
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
    """Return what is left of *stream*, and whether it has an order to go on in."""
    try:
        return stream.rest, True
    except UnorderedListError:
        return None, False


def _total(before: PullReport, part: PullReport, *, is_part: bool) -> PullReport:
    """Return the report of a pull in two goes; *is_part*: the second pulled a rest."""
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
    )
