"""Report: what a pull did and what moved under it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from ._models import ContactPage

MAX_NAMED_PAGES = 5


@attrs.frozen(kw_only=True)
class PullReport:
    """Say what a pull did, and whether the list stood still while it was read.

    Attributes:
        contacts: contacts on the pages handed out so far, each id once.
        pages: pages handed out so far.
        requests: HTTP requests sent, retries included.
        retries: requests repeated after a transient failure.
        rate_limited: answers of HTTP 429.
        duplicates: contacts left out because their id had been delivered already.
        elapsed: seconds from the first request until now, or until the end.
        waited: seconds spent in back-off, pauses and pacing, added up over requests that
            waited side by side; it may exceed `elapsed`.
        drift: in words, what moved while the list was read; empty if nothing was seen to move.
        consistent: whether `drift` is empty. True is no proof: one contact gone and another
            come between two pages leaves no trace in this API.
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
    consistent: bool = attrs.field(
        init=False, default=attrs.Factory(lambda report: not report.drift, takes_self=True)
    )


class Tally:
    """Count what one pull does, from its first request on; `report` tells it at any time."""

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.rate_limited = 0
        self.waited = 0.0
        self.contacts = 0
        self.duplicates = 0
        self.pages = 0
        self.drift = DriftDetector()
        self._clock: Callable[[], float] | None = None
        self._started = 0.0
        self._ended: float | None = None

    @property
    def has_started(self) -> bool:
        """Tell whether the clock has been started."""
        return self._clock is not None

    def start(self) -> None:
        """Start the clock, which is the event loop's and can be read from any thread."""
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()

    def end(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._ended = self._clock()

    def report(self) -> PullReport:
        """Return the figures as of now."""
        return PullReport(
            contacts=self.contacts,
            pages=self.pages,
            requests=self.requests,
            retries=self.retries,
            rate_limited=self.rate_limited,
            duplicates=self.duplicates,
            elapsed=self._elapsed(),
            waited=self.waited,
            drift=self.drift.sentences(self.duplicates),
        )

    def _elapsed(self) -> float:
        if self._clock is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._started


class DriftDetector:
    """Compare what the pages of one pull say of the list; facts are added up, not listed."""

    def __init__(self) -> None:
        self._first: ContactPage | None = None
        self._lowest = self._highest = self._latest = 0
        self._most_pages = 0
        self._rows = 0
        self._uneven: list[int] = []  # the first few of them
        self._uneven_count = 0
        self._resized = False
        self._complete = False
        self.status_mismatches = 0
        """Contacts that came with another status than the one asked for."""

    def learn(self, page: ContactPage, *, rows: int) -> None:
        """Take in the next page as it came, in order; *rows* of it count for the sum."""
        said = page.pagination
        if self._first is None:
            self._first = attrs.evolve(page, contacts=())
            self._lowest = self._highest = said.total_items
        first = self._first.pagination
        self._lowest = min(self._lowest, said.total_items)
        self._highest = max(self._highest, said.total_items)
        self._latest = said.total_items
        self._most_pages = max(self._most_pages, said.total_pages)
        self._rows += rows
        self._resized = self._resized or said.per_page != first.per_page
        before = (said.page - 1) * said.per_page
        if len(page) != max(0, min(said.per_page, said.total_items - before)):
            self._uneven_count += 1
            self._uneven += [said.page][: MAX_NAMED_PAGES - len(self._uneven)]

    def complete(self) -> None:
        """Note that the end of the list was reached, so that sums can be compared."""
        self._complete = True

    def sentences(self, duplicates: int) -> tuple[str, ...]:
        """Return what moved, in words; empty if nothing was seen to move."""
        if self._first is None:
            return ()
        first = self._first.pagination
        said: list[str] = []
        fitting = -(-first.total_items // first.per_page)
        if first.total_pages not in (fitting, max(1, fitting)):
            said.append(
                f"the server announced {_count(first.total_pages, 'page')} of {first.per_page:,} "
                f"for {_count(first.total_items, 'contact')}"
            )
        if self._lowest != self._highest:
            said.append(
                f"the server counted {first.total_items:,} contacts at first and "
                f"{self._latest:,} at last, between {self._lowest:,} and {self._highest:,}"
            )
        if self._most_pages > first.total_pages:
            said.append(
                f"the list grew from {first.total_pages:,} to {self._most_pages:,} pages "
                "while it was read"
            )
        if duplicates:
            said.append(f"{_count(duplicates, 'contact')} came twice and went out once")
        if self.status_mismatches:
            said.append(f"{_count(self.status_mismatches, 'contact')} came with another status than asked for")
        if self._uneven:
            pages = _pages(self._uneven, self._uneven_count)
            said.append(f"{pages} did not hold as many contacts as announced")
        if self._resized:
            said.append("the server changed its page size between pages")
        if self._complete and self._rows - duplicates != self._latest:
            said.append(
                f"{self._rows - duplicates:,} contacts were received, "
                f"the server counted {self._latest:,}"
            )
        return tuple(said)


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _pages(numbers: list[int], count: int) -> str:
    named = ", ".join(str(number) for number in numbers)
    more = count - len(numbers)
    noun = "page" if count == 1 else "pages"
    return f"{noun} {named} and {more:,} more" if more else f"{noun} {named}"
