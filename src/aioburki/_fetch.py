"""Fetch: one page, whatever it takes: a slot, its turn, an exchange, or else another one."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import anyio
import attrs
from anyio import Semaphore  # by name: anyio imports late, and the first client would wait for it

from ._clock import loop_time
from ._errors import ClientClosedError, TransportError
from ._events import Event, PageFetched, PauseStarted, RetryScheduled
from ._exchange import Exchanger
from ._failure import Failure
from ._models import ContactPage
from ._outage import Outage
from ._pace import Pacer
from ._query import ContactQuery, Window
from ._report import Tally
from ._retry import back_off
from ._settings import Settings

logger = logging.getLogger("aioburki")


@attrs.define
class _Errand:
    """One page on its way: what is asked for, and what it took so far."""

    query: ContactQuery
    window: Window
    tally: Tally
    started: float
    attempts: int = 0
    failures: int = 0  # without the 429s, which are the server working as designed
    refusals: int = 0
    number: int = 0
    sent: float = 0.0
    is_probe: bool = False


class Fetcher:
    """Fetch pages for all pulls of one client, which share its slots and its pace."""

    def __init__(
        self,
        settings: Settings,
        exchanger: Exchanger,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._settings = settings
        self._exchanger = exchanger
        self._on_event = on_event
        self._slots = Semaphore(settings.concurrency, fast_acquire=True)
        self._pacer = Pacer(settings.rate, longest_wait=settings.max_wait)
        self._outage = Outage(settings.attempts)
        self._is_closed = False

    @property
    def concurrency(self) -> int:
        """Return the most requests in flight at once."""
        return self._settings.concurrency

    def close(self) -> None:
        """Refuse every further request with `ClientClosedError`."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raise `ClientClosedError` if no request can be sent any more."""
        if self._is_closed:
            raise ClientClosedError("this BurkiClient is closed")
        if self._exchanger.is_closed:
            raise ClientClosedError("the http_client of this BurkiClient is closed")

    async def fetch(self, query: ContactQuery, window: Window, tally: Tally) -> ContactPage:
        """Return the page at *window*, trying again after transient failures.

        Raises:
            BurkiError: the page cannot be had. Nothing is chained to it.
        """
        errand = _Errand(query, window, tally, started=loop_time())
        while True:
            outcome = await self._attempt(errand)
            if isinstance(outcome, ContactPage):
                self._succeed(errand, outcome)
                return outcome
            delay = self._note_failure(errand, outcome)
            if delay is None:
                raise self._located(errand, outcome)
            await anyio.sleep(delay)
            tally.waited += delay

    async def _attempt(self, errand: _Errand) -> ContactPage | Failure:
        """Send one request and return what came of it; the slot is held no longer than this."""
        async with self._slots:
            asked = loop_time()
            errand.is_probe = await self._outage.admit()
            try:
                errand.number = await self._pacer.wait()
                errand.sent = loop_time()
                errand.tally.waited += errand.sent - asked
                try:
                    self.check_open()
                    errand.attempts += 1
                    errand.tally.requests += 1
                    answer = await self._exchanger.exchange(errand.query, errand.window)
                finally:
                    self._pacer.answered()
            finally:
                if errand.is_probe:
                    self._outage.leave()
        if answer.allowance is not None:
            self._pacer.learn(answer.allowance, errand.number)
        return answer.outcome

    def _succeed(self, errand: _Errand, page: ContactPage) -> None:
        self._pacer.passed(errand.sent)
        self._pacer.forget_refusals()
        self._outage.over()
        seconds = loop_time() - errand.started
        logger.debug(
            "campaign %d page %d: %d contacts, %d attempts, %.3f s",
            errand.query.campaign_id, errand.window.page, len(page), errand.attempts, seconds,
        )  # fmt: skip
        if self._on_event is None:
            return
        self._tell(
            PageFetched(
                campaign_id=errand.query.campaign_id,
                page=errand.window.page,
                contacts=len(page),
                total_pages=page.pagination.total_pages,
                total_items=page.pagination.total_items,
                attempts=errand.attempts,
                seconds=seconds,
            )
        )

    def _note_failure(self, errand: _Errand, failure: Failure) -> float | None:
        """Count a failed attempt and tell of it.

        Return the seconds to wait before another one, besides the pace; None for none.
        """
        asked = failure.retry_after or 0.0
        if failure.refused:
            self._outage.over()
            return self._wait_for_limit(errand, failure)
        if not isinstance(failure.error, TransportError):
            self._pacer.passed(errand.sent)
        errand.failures += 1
        if (
            not failure.transient
            or errand.failures >= self._settings.attempts
            or asked > self._settings.max_wait
            or self._is_given_up(errand, failure)
        ):
            return None
        delay = max(asked, back_off(errand.failures, random.random()))  # noqa: S311 - jitter
        if self._outage.probe_delay():
            delay = self._outage.probe_delay()
        errand.tally.retries += 1
        logger.info(
            "campaign %d page %d attempt %d: %s; again in %.2f s",
            errand.query.campaign_id, errand.window.page, errand.attempts,
            failure.error.message, delay,
        )  # fmt: skip
        self._tell(
            RetryScheduled(
                campaign_id=errand.query.campaign_id,
                page=errand.window.page,
                attempt=errand.attempts,
                delay=delay,
                reason=failure.error.message,
            )
        )
        return delay

    def _is_given_up(self, errand: _Errand, failure: Failure) -> bool:
        if not failure.is_outage:
            self._outage.over()
            return False
        why = self._outage.failed(
            errand, is_probe=errand.is_probe, retry_after=failure.retry_after or 0.0
        )
        if why is not None:
            failure.error.message += f"; the server is down: {why}"
        return why is not None

    def _wait_for_limit(self, errand: _Errand, failure: Failure) -> float | None:
        """Take in a 429; return the seconds this page waits, None if beyond `max_wait`."""
        errand.tally.rate_limited += 1
        errand.refusals += 1
        asked = failure.retry_after
        if asked is not None and asked > self._settings.max_wait:
            return None
        is_news = self._pacer.refuse(errand.sent, asked)
        delay = self._pacer.wait_of_refused(errand.refusals, asked)
        if self._pacer.refused_for(delay) > self._settings.max_wait:
            self._pacer.forget_refusals()
            return None
        if is_news:
            seconds = self._pacer.pause_left() or delay
            logger.info(
                "campaign %d page %d: HTTP 429, %s %.2f s",
                errand.query.campaign_id, errand.window.page,
                "all requests wait" if self._pacer.pause_left() else "it waits", seconds,
            )  # fmt: skip
            self._tell(
                PauseStarted(
                    campaign_id=errand.query.campaign_id,
                    page=errand.window.page,
                    seconds=seconds,
                    retry_after=failure.retry_after,
                )
            )
        return delay

    def _located(self, errand: _Errand, failure: Failure) -> Exception:
        error = failure.error
        error.campaign_id = errand.query.campaign_id
        error.page = errand.window.page
        error.attempts = errand.attempts
        return error

    def _tell(self, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:  # a fault in somebody's metrics must not cost a pull
            logger.exception("on_event failed for %s", type(event).__name__)
