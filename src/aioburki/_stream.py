"""Stream: one pull that is read inside ``async with``, and the range that is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from operator import length_hint
from types import TracebackType
from typing import Self

import attrs

from ._errors import ConfigurationError, UnorderedListError
from ._models import Contact, ContactPage
from ._page import Page
from ._range import ContactRange
from ._report import PullReport
from ._started_pull import StartedPull

# Contacts that are delivered before other tasks of the event loop run. Delivering so many takes a
# small part of the time that decoding their page takes.
MAX_PER_TURN = 100


def contact_page(page: Page[Contact]) -> ContactPage:
    """Return *page* as users get it."""
    return ContactPage(page.items, page.pagination)


class ContactStream:
    """Iterate over a pull inside ``async with``; after the block no task or request is left.

    A stream is one pull: a second loop continues where the first ended, and several tasks that
    iterate over it get each contact once between them. A failure is raised again by every further
    call, and a deadline around a single `anext` loses no contact. `report` can be read at any time.
    Iterating outside the block raises RuntimeError: ending at once would look like an empty list.

    Entering the block fetches the first page, which is then delivered first. So what is wrong with
    the key, the campaign or the network is raised by ``async with``, before anything is delivered;
    then, or if the entering is cancelled, nothing is left either, and `rest` is everything.
    """

    def __init__(self, started: StartedPull[Contact], whole: ContactRange) -> None:
        self._started = started
        self._range = whole
        self._taken: Contact | None = None
        self._pull = started.pull
        self._rest: Iterator[Contact] = iter(())
        self._calls = 0
        self._refilling = asyncio.Lock()
        self._is_open = False
        self._was_open = False

    @property
    def report(self) -> PullReport:
        """What the pull has done so far."""
        return self._started.report()

    @property
    def rest(self) -> ContactRange | None:
        """The contacts that have not been taken yet, as a range to be read later or elsewhere.

        It begins behind the last contact that was taken, and can be read at any time, also after a
        failure or after the block. A contact is taken when the loop receives it: store the
        rest when the work on that contact is done. None when everything was taken. The
        contacts that a ``limit`` left out are in it.

        Raises:
            ConfigurationError: the pull was made with ``complete=False``.
            UnorderedListError: the list has no usable order.
        """
        if not self._started.is_complete:
            raise ConfigurationError("a stream has a rest only with complete=True")
        untaken = length_hint(self._rest)
        is_read = not untaken and self.is_finished
        # A range that is not proved complete may have ended early.
        if is_read and (self.report.complete or not self._range.order):
            return None
        if self._taken is None:
            return self._range
        position = self._pull.position(self._taken, untaken)
        if position is None:
            raise UnorderedListError(
                "this list has no usable order, so no range can begin behind a contact of it",
                campaign_id=self._range.campaign_id,
            )
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
                self._taken = page.items[-1] if page.items else self._taken
            yield contact_page(page)

    async def __aenter__(self) -> Self:
        if self._was_open:
            raise RuntimeError("this stream has ended: call `stream()` for another one")
        self._was_open = True
        try:
            await self._pull.wait_for_page()
        except BaseException:
            await self._pull.aclose()  # `__aexit__` is not called
            raise
        self._is_open = True
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
        self._calls += 1
        if self._calls % MAX_PER_TURN == 0:
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
