"""Contacts: what `BurkiClient.contacts` returns, and the ways to read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, SupportsIndex

import attrs

from ._contact_list import ContactList
from ._contact_row import ContactRow
from ._endpoint import ListQuery
from ._errors import ConfigurationError
from ._estimate import PullEstimate, estimate_of
from ._extras import require_in_thread
from ._list_contacts import CONTACT_ROWS
from ._list_reader import ListReader
from ._models import Contact, ContactPage
from ._range import ContactRange, bounds_of, divided
from ._stream import MAX_PER_TURN, ContactStream, contact_page
from ._validation import flag, whole_number

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

MAX_PARTS = 10_000


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
        return self.to_list().__await__()

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
        reached. Of a complete pull, ``pagination`` is that of the window that was read, and its
        page size varies. With ``complete=False`` the last page of the list may be delivered a
        second time, with the contacts that were added to it meanwhile.
        """
        async with aclosing(self._list.start().pull) as pull:
            while (page := await pull.next_page()) is not None:
                yield contact_page(page)

    @property
    def range(self) -> ContactRange:
        """The range that is read; that of a whole campaign has no bounds."""
        return self._range

    @property
    def limit(self) -> int | None:
        """Maximum number of contacts that a pull delivers; None for all."""
        return self._list.limit

    @property
    def is_complete(self) -> bool:
        """Whether pulls are made with ``complete=True``."""
        return self._list.is_complete

    def behind(self, rest: ContactRange, limit: int | None) -> Contacts:
        """Return *rest*, a `ContactStream.rest` of these contacts, read with the same settings."""
        reader = attrs.evolve(self._list, bounds=bounds_of(rest), order=rest.order, limit=limit)
        return Contacts(reader, rest, is_range=True)

    async def to_list(self) -> ContactList:
        """Return all contacts with the report; the same as ``await contacts``, as a coroutine.

        For what takes a coroutine: `asyncio.run`, `asyncio.create_task`, `asyncio.TaskGroup`.

        Raises:
            BurkiError: the pull has failed.
        """
        contacts = ContactList()
        started = self._list.start()
        async with aclosing(started.pull) as pull:
            while (page := await pull.next_page()) is not None:
                contacts.extend(page.items)
        contacts.report = started.report()
        return contacts

    async def first(self) -> Contact | None:
        """Return the first contact, or None if there is none; of a whole list one request.

        Raises:
            BurkiError: a request failed.
        """
        limit = 1 if self._list.limit is None else min(1, self._list.limit)
        reader = attrs.evolve(self._list, limit=limit)
        if not self._is_range:  # which may begin anywhere on a page, and has moved
            reader = attrs.evolve(reader, per_page=1, is_complete=False)
        async with aclosing(reader.start().pull) as pull:
            while (page := await pull.next_page()) is not None:
                for contact in page.items:
                    return contact
        return None

    def stream(self, *, progress: bool = False) -> ContactStream:
        """Return an ``async with`` block to iterate in; after it no task or request is left.

        Args:
            progress: whether to show a `tqdm.auto` bar, in a notebook or on standard error.

        Raises:
            ModuleNotFoundError: a bar needs tqdm (``pip install 'aioburki[cli]'``).
        """
        return ContactStream(self._list.start(progress=flag("progress", progress)), self._range)

    @property
    def rows(self) -> ListReader[ContactRow]:
        """The reader of the same list that returns rows, without making `Contact` objects."""
        reader: Any = self._list  # rows have the attributes by which it sorts and filters contacts
        query = ListQuery(CONTACT_ROWS, reader.query.campaign_id, reader.query.filters)
        rows: ListReader[ContactRow] = attrs.evolve(reader, query=query)
        return rows

    async def to_arrow(self, *, flatten: bool = False, progress: bool = False) -> pa.Table:
        """Pull the contacts into an Arrow table, without making `Contact` objects.

        Order, ``limit`` and completeness are those of a list, in a quarter of its memory; if they
        are not proved, a warning is logged. The schema is always the same, with nulls where a
        contact has None:

        ==================================================  ================================
        ``id``                                              int64
        ``phone_number``, ``company``, ``source``           string
        ``status``                                          dictionary of string, by int32
        ``attempts``                                        int32
        ``created_at``, ``last_attempt_at``                 timestamp[us, UTC]
        ``variable_values``, ``custom_fields``, ``extra``   string: a JSON object, ``{}`` if empty
        ==================================================  ================================

        Statuses that the API does not document are kept. Text that UTF-8 cannot encode (lone
        surrogates) has U+FFFD instead.

        Args:
            flatten: whether there is a column for each key of the last three, such as
                ``variable_values.name``, instead of them. It has the type that the values have,
                bool, int64, double or string. Values that are lists or objects, of several
                types, or whole numbers beyond int64 are JSON text; whole numbers beside fractions
                are double if that is exact. A contact without the key has null. Each contact
                has a cell in each column, so this needs memory where keys differ a lot.
            progress: whether to show a bar, as `stream` does.

        Raises:
            ModuleNotFoundError: pyarrow is not installed (``pip install 'aioburki[arrow]'``).
            ResponseDecodeError: the id of a contact is beyond int64, or its attempts beyond int32;
                or *flatten* would make more than 5,000 columns.
            BurkiError: the pull has failed.
        """
        await require_in_thread("pyarrow", "aioburki._tables")
        from ._tables import pulled_table  # noqa: PLC0415 - pyarrow is optional

        started = self.rows.start(progress=flag("progress", progress))
        return await pulled_table(started, flatten=flag("flatten", flatten))

    async def to_pandas(self, *, flatten: bool = False, progress: bool = False) -> pd.DataFrame:
        """Pull the contacts into a pandas data frame with Arrow-backed types; see `to_arrow`.

        The status is a string, because pandas cannot sort dictionaries.

        Raises:
            ModuleNotFoundError: pandas or pyarrow is not installed; before anything is sent.
            BurkiError: as of `to_arrow`.
        """
        await require_in_thread("pandas", "pyarrow", "aioburki._tables")
        from ._tables import pulled_pandas  # noqa: PLC0415 - pyarrow is optional

        started = self.rows.start(progress=flag("progress", progress))
        return await pulled_pandas(started, flatten=flag("flatten", flatten))

    async def to_polars(self, *, flatten: bool = False, progress: bool = False) -> pl.DataFrame:
        """Pull the contacts into a polars data frame; see `to_arrow`. The status is categorical.

        Raises:
            ModuleNotFoundError: polars or pyarrow is not installed; before anything is sent.
            BurkiError: as of `to_arrow`.
        """
        await require_in_thread("polars", "pyarrow", "aioburki._tables")
        from ._tables import pulled_polars  # noqa: PLC0415 - pyarrow is optional

        started = self.rows.start(progress=flag("progress", progress))
        return await pulled_polars(started, flatten=flag("flatten", flatten))

    async def batches(self) -> AsyncGenerator[pa.RecordBatch, None]:
        """Return an iterator of batches of 1,000 contacts, in order, in the schema of `to_arrow`.

        The last batch may be smaller. Memory is bounded, as with ``async for``; ending early does
        what it does there.

        Raises:
            ModuleNotFoundError, ResponseDecodeError, BurkiError: as of `to_arrow`.
        """
        await require_in_thread("pyarrow", "aioburki._tables")
        from ._tables import pulled_batches  # noqa: PLC0415 - pyarrow is optional

        async with aclosing(pulled_batches(self.rows.start())) as batches:
            async for batch in batches:
                yield batch
                del batch  # error reporters show local variables

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
        return contact_page(await self._list.page(whole_number("page", number, low=1)))

    async def estimate(self) -> PullEstimate:
        """Return how many requests a pull would send, and how long it would take.

        Sends one request, of the page with which it would begin; `BurkiError` if that fails.
        """
        return await estimate_of(self._list)

    async def split(self, n: SupportsIndex) -> list[ContactRange]:
        """Return at most *n* ranges that together are the list, to be read by other workers.

        They do not overlap. Each pull of one is proved complete by itself, so together they are
        complete however the list moves meanwhile. A list of one page is one range. Sends at most
        *n* requests; a cancellation cancels them. ``limit`` does not apply.

        Args:
            n: maximum number of ranges, 1 … 10,000.

        Raises:
            ConfigurationError: *n* is out of range, or ``complete=False`` was given.
            UnorderedListError: the list has no usable order.
            BurkiError: a request failed.
        """
        parts = whole_number("n", n, low=1, high=MAX_PARTS)
        if not self._list.is_complete:
            raise ConfigurationError("split() needs complete=True")
        order, places = await self._list.boundaries(parts)
        return divided(attrs.evolve(self._range, order=order), places) if places else [self._range]

    def _check_whole(self, what: str) -> None:
        if self._is_range:
            raise ConfigurationError(f"a range has no {what}: use burki.contacts(campaign_id)")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._arguments()[1:])
        of = f"campaign {self._list.query.campaign_id}{shown and ', '}{shown}"
        return f"<Contacts of {of}: await or async for>"

    def __rich_repr__(self) -> Iterator[tuple[str, object, object]]:
        for name, value in self._arguments():
            yield name, value, None

    def _arguments(self) -> list[tuple[str, object]]:
        """Return what is read, by name; what is None or the default is left out."""
        query, part, limit = self._list.query, self._range, self._list.limit
        given = {"after": part.after, "until": part.until, "limit": limit}
        shown = [(name, value) for name, value in given.items() if value is not None]
        return [("campaign_id", query.campaign_id), *query.filters, *shown]
