"""Contacts: what `BurkiClient.contacts` returns, and the ways to read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, SupportsIndex

import attrs

from ._list_contacts import CONTACTS, MAX_PER_PAGE, known_status
from ._list_reader import ListReader, StartedPull
from ._models import Contact, ContactPage, ContactStatus
from ._page import Page
from ._paging import Prefetch
from ._report import PullReport
from ._requests import Fetcher, ListQuery
from ._validation import whole_number

# Contacts that are delivered before other tasks of the event loop run. Delivering so many takes a
# small part of the time that decoding their page takes.
MAX_PER_TURN = 100


def contacts_of(
    fetcher: Fetcher,
    running: set[Prefetch[Any]],
    campaign_id: SupportsIndex,
    *,
    status: ContactStatus | str | None,
    per_page: SupportsIndex,
    limit: SupportsIndex | None,
) -> Contacts:
    """Return the contacts of a campaign, for these arguments of `BurkiClient.contacts`.

    Raises:
        ConfigurationError: an argument is out of range or of the wrong type.
    """
    number = whole_number("campaign_id", campaign_id, low=1)
    wanted = None if status is None else known_status(status)
    return Contacts(
        ListReader(
            query=ListQuery(
                CONTACTS, number, () if wanted is None else (("status", wanted.value),)
            ),
            per_page=whole_number("per_page", per_page, low=1, high=MAX_PER_PAGE),
            limit=None if limit is None else whole_number("limit", limit, low=0),
            fetcher=fetcher,
            running=running,
            matches=None if wanted is None else lambda contact: contact.status == wanted,
        )
    )


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

    def stream(self) -> ContactStream:
        """Return an ``async with`` block to iterate in; after it no task or request is left."""
        return ContactStream(self._list.start())

    async def count(self) -> int:
        """Return how many contacts there are, at most ``limit``; one request of one contact."""
        return await self._list.count()

    async def page(self, number: SupportsIndex) -> ContactPage:
        """Return page *number*, from 1, as the server has it now; one request.

        ``limit`` does not apply to it. For a page past the end the API documents nothing; the
        sandbox returns an empty page.

        Raises:
            ConfigurationError: *number* is no whole number of at least 1.
        """
        return _contact_page(await self._list.page(whole_number("page", number, low=1)))

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

    def __init__(self, started: StartedPull[Contact]) -> None:
        self._started = started
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
                return contact
            async with self._refilling:  # several tasks may share a stream
                for contact in self._rest:
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
