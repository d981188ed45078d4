"""Contacts: what `BurkiClient.contacts` returns, and the ways to read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import aclosing
from operator import length_hint
from types import TracebackType
from typing import Self, SupportsIndex

import attrs

from ._errors import ConfigurationError, UnorderedListError
from ._list_reader import ListReader, StartedPull
from ._models import Contact, ContactPage
from ._page import Page
from ._range import ContactRange, bounds_of
from ._report import PullReport
from ._validation import whole_number

# Contacts that are delivered before other tasks of the event loop run. Delivering so many takes a
# small part of the time that decoding their page takes.
MAX_PER_TURN = 100

MAX_PARTS = 10_000


class ContactList(list[Contact]):
    """All contacts of a pull, in the server's order, with its `report`.

    A `list`; slices and copies are plain lists. Its `repr` shows no contacts.
    """

    def __init__(
        self, contacts: Iterable[Contact] = (), *, report: PullReport | None = None
    ) -> None:
        super().__init__(contacts)
        self.report = PullReport() if report is None else report

    def __repr__(self) -> str:
        moved = "" if self.report.consistent else ", moved while it was read: see .report.drift"
        return f"<ContactList: {len(self):,} contacts{moved}>"


@attrs.frozen(eq=False, repr=False)
class Contacts:
    """A lazy, re-iterable query of the contacts of a campaign.

    No request is sent before contacts are read. Every `await`, ``async for``, `pages` and
    `stream` is a pull of its own. A pull delivers in the server's order, each contact id once,
    follows the list if it grows at its end, and raises the errors of this package, unchanged and
    never in a group.

    While a pull runs, at most four pages per slot of ``concurrency`` are requested ahead of what
    was delivered, and none while the consumer takes nothing. A pull that ends early (``break``, an
    exception, a cancellation, a deadline around it) cancels its requests; after ``break`` that
    takes a few turns of the event loop, unless `stream` is used.
    """

    _list: ListReader[Contact] = attrs.field(repr=False)
    _range: ContactRange
    _is_range: bool = attrs.field(default=False, kw_only=True, alias="is_range")

    def __await__(self) -> Generator[object, None, ContactList]:
        return self._collect().__await__()

    async def __aiter__(self) -> AsyncGenerator[Contact, None]:
        async with aclosing(self._list.start().pull) as pull:
            while (page := await pull.next_page()) is not None:
                for start in range(0, len(page.items), MAX_PER_TURN):
                    if start > 0:
                        await asyncio.sleep(0)
                    for contact in page.items[start : start + MAX_PER_TURN]:
                        yield contact

    async def pages(self) -> AsyncGenerator[ContactPage, None]:
        """Return an iterator of the pages, in order, as `ContactPage`.

        Contacts that an earlier page had are left out, and the last page is cut where ``limit`` is
        reached. The last page of the list may be delivered a second time, with the contacts that
        were added to it meanwhile.
        """
        async with aclosing(self._list.start().pull) as pull:
            while (page := await pull.next_page()) is not None:
                yield _contact_page(page)

    @property
    def range(self) -> ContactRange:
        """What is read, as a range; that of a whole campaign has no bounds."""
        return self._range

    @property
    def limit(self) -> int | None:
        """Maximum number of contacts that a pull delivers; None for all."""
        return self._list.limit

    @property
    def is_complete(self) -> bool:
        """Whether a pull reads until nothing can have been missed (``complete=True``)."""
        return self._list.is_complete

    def behind(self, rest: ContactRange, limit: int | None) -> Contacts:
        """Return *rest*, a `ContactStream.rest` of these contacts, read with the same settings."""
        reader = attrs.evolve(self._list, bounds=bounds_of(rest), order=rest.order, limit=limit)
        return Contacts(reader, rest)

    def stream(self) -> ContactStream:
        """Return an ``async with`` block to iterate in; after it no task or request is left."""
        return ContactStream(self._list.start(), self._range)

    async def count(self) -> int:
        """Return how many contacts there are, at most ``limit``; one request of one contact.

        Raises:
            ConfigurationError: these are the contacts of a range, which has no count.
        """
        self._check_whole("count()")
        return await self._list.count()

    async def page(self, number: SupportsIndex) -> ContactPage:
        """Return page *number*, from 1, as the server has it now; one request.

        ``limit`` does not apply to it. For a page past the end the API documents nothing; the
        sandbox returns an empty page.

        Raises:
            ConfigurationError: *number* is no whole number of at least 1, or these are the
                contacts of a range, which has no pages of its own.
        """
        self._check_whole("page()")
        return _contact_page(await self._list.page(whole_number("page", number, low=1)))

    async def split(self, n: SupportsIndex) -> list[ContactRange]:
        """Return at most *n* ranges that together are the list, to be read by other workers.

        They do not overlap, and each is read completely by itself, so that together they are
        complete however the list moves meanwhile. A list of less than two pages is one range.
        Sends *n* requests. ``limit`` does not apply.

        Args:
            n: maximum number of ranges, 1 … 10,000.

        Raises:
            ConfigurationError: *n* is out of range, or ``complete=False`` was given.
            UnorderedListError: the list has no usable order.
        """
        parts = whole_number("n", n, low=1, high=MAX_PARTS)
        if not self._list.is_complete:
            raise ConfigurationError("split() needs complete=True")
        order, places = await self._list.boundaries(parts)
        whole = attrs.evolve(self._range, order=order)
        if not places:
            return [self._range]
        ranges: list[ContactRange] = []
        for key, offset in places:
            ranges.append(attrs.evolve(whole, until=key, end=offset))
            whole = attrs.evolve(whole, after=key, offset=offset)
        return [*ranges, whole]

    def _check_whole(self, what: str) -> None:
        if self._is_range:
            raise ConfigurationError(f"a range has no {what}: ask the contacts of the campaign")

    def __repr__(self) -> str:
        query, limit = self._list.query, self._list.limit
        filters = "".join(f", {name}={value!r}" for name, value in query.filters)
        limited = "" if limit is None else f", limit={limit}"
        return f"<Contacts of campaign {query.campaign_id}{filters}{limited}: await or async for>"

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        yield "campaign_id", self._list.query.campaign_id, None
        for name, value in self._list.query.filters:
            yield name, value, None
        yield "limit", self._list.limit, None

    async def _collect(self) -> ContactList:
        contacts = ContactList()
        started = self._list.start()
        async with aclosing(started.pull) as pull:
            while (page := await pull.next_page()) is not None:
                contacts.extend(page.items)
        contacts.report = started.report()
        return contacts


def _contact_page(page: Page[Contact]) -> ContactPage:
    return ContactPage(page.items, page.pagination)


class ContactStream:
    """Iterate over a pull inside ``async with``; after the block no task or request is left.

    A stream is one pull: a second loop continues where the first ended, and several tasks that
    iterate over it get each contact once between them. A failure is raised again by every further
    call, and a deadline around a single `anext` loses no contact. `report` can be read at any time.
    Iterating outside the block raises RuntimeError: ending at once would look like an empty list.
    """

    def __init__(self, started: StartedPull[Contact], whole: ContactRange) -> None:
        self._started = started
        self._range = whole
        self._taken: Contact | None = None
        self._pull = started.pull
        self._rest: Iterator[Contact] = iter(())
        self._asked_for = 0
        self._refilling = asyncio.Lock()
        self._is_open = False
        self._was_open = False

    @property
    def report(self) -> PullReport:
        """What the pull has done so far."""
        return self._started.report()

    @property
    def rest(self) -> ContactRange | None:
        """What has not been taken yet, as a range that can be read later or elsewhere.

        It begins behind the last contact that was taken, and can be asked for at any time, also
        after a failure or after the block. None when everything was taken; what a ``limit`` left
        out is in it.

        Raises:
            ConfigurationError: the pull was made with ``complete=False``.
            UnorderedListError: the list has no usable order.
        """
        if not self._started.is_complete:
            raise ConfigurationError("a stream has a rest only with complete=True")
        untaken = length_hint(self._rest)
        is_read = not untaken and self._pull.is_finished
        # A range whose order broke has ended before its end.
        if is_read and (self.report.complete or not self._range.order):
            return None
        if self._taken is None:
            return self._range
        position = self._pull.position(self._taken, untaken)
        if position is None:
            raise UnorderedListError(
                "this list is in no order in which it could be gone on with",
                campaign_id=self._range.campaign_id,
            )
        if self._taken is None:
            return self._range
        order, bounds = position
        return attrs.evolve(self._range, order=order, after=bounds.after, offset=bounds.offset)

    @property
    def has_gaps(self) -> bool:
        """Whether contacts may have been missed before the last one that was delivered."""
        return self._pull.has_gaps

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be delivered, and no ``limit`` has left something out.

        False of a range that ended early, because its list has no usable order.
        """
        return self._pull.is_finished

    async def pages(self) -> AsyncGenerator[ContactPage, None]:
        """Return an iterator of the pages that are left, as `Contacts.pages` does.

        All contacts of a page count as taken when it is returned: `rest` begins behind them.

        Raises:
            RuntimeError: a page was begun with ``async for`` over the stream, and not finished.
        """
        while True:
            self._check_open()
            async with self._refilling:
                if length_hint(self._rest):
                    raise RuntimeError("iterate over the contacts of a stream or over its pages")
                page = await self._pull.next_page()
                if page is None:
                    return
                if page.items:
                    self._taken = page.items[-1]
            yield _contact_page(page)

    async def __aenter__(self) -> Self:
        if self._was_open:
            raise RuntimeError("this stream has ended: call `stream()` for another one")
        self._is_open = self._was_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._pull.fail(RuntimeError("the `async with` block of this stream was left"))
        await self._pull.aclose()

    def __aiter__(self) -> Self:
        self._check_open()
        return self

    async def __anext__(self) -> Contact:
        self._asked_for += 1
        if self._asked_for % MAX_PER_TURN == 0:
            await asyncio.sleep(0)  # here, where no contact is taken that a cancellation could lose
        while True:
            self._check_open()
            for contact in self._rest:
                self._taken = contact
                return contact
            async with self._refilling:  # several tasks may share a stream
                for contact in self._rest:
                    self._taken = contact
                    return contact
                page = await self._pull.next_page()
                if page is None:
                    raise StopAsyncIteration
                self._rest = iter(page.items)

    def _check_open(self) -> None:
        if not self._is_open:
            raise RuntimeError("iterate over a stream inside its `async with` block")

    def __repr__(self) -> str:
        return f"<ContactStream: {self.report.contacts:,} contacts so far>"
