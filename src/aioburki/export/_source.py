"""Source: what an export takes, the contacts to pull or an iterator of their pages."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import asynccontextmanager

import anyio.lowlevel

from .._contacts import ContactList, Contacts
from .._errors import ConfigurationError
from .._models import ContactPage
from .._stream import ContactStream

Pages = AsyncIterable[ContactPage] | Iterable[ContactPage]
"""Pages of contacts, pulled or made: an iterator, also an asynchronous one, a list or a tuple."""


def check_source(source: Contacts | Pages) -> None:
    """Return if *source* can be exported, as far as that shows before it is read.

    Raises:
        ConfigurationError: it is neither contacts nor an iterator of pages.
    """
    if isinstance(source, ContactStream):
        raise _refusal(source, ": pass its pages()")
    if isinstance(source, ContactList):
        raise _refusal(source, ": pass the contacts that it was pulled from")
    if isinstance(source, list | tuple):
        other = next((type(each) for each in source if not isinstance(each, ContactPage)), None)
        if other is not None:
            raise _refusal(source, f" with a {other.__name__} in it")
    elif not isinstance(source, Contacts | AsyncIterator | Iterator):
        raise _refusal(source)


@asynccontextmanager
async def closing_source(source: Contacts | Pages) -> AsyncGenerator[None, None]:
    """Close *source* at the end of the block, if it is a generator."""
    try:
        yield
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()
        elif isinstance(source, Generator):
            source.close()


async def pages_of(source: Pages) -> AsyncGenerator[ContactPage, None]:
    """Yield the pages of *source*.

    Raises:
        ConfigurationError: something that it yields is no page.
    """
    async for page in source if isinstance(source, AsyncIterable) else _in_turns(source):
        if not isinstance(page, ContactPage):
            kind = type(page).__name__
            del page  # it may be a row; reporters of errors show local variables
            raise _refusal(source, f" that yields a {kind}")
        yield page


async def _in_turns(pages: Iterable[ContactPage]) -> AsyncGenerator[ContactPage, None]:
    """Yield *pages*, and let other tasks run between two of them."""
    for page in pages:
        yield page
        await anyio.lowlevel.checkpoint()


def _refusal(source: object, what: str = "") -> ConfigurationError:
    return ConfigurationError(
        "an export takes contacts, such as burki.contacts(42), or an iterator of pages, such as "
        f"burki.contacts(42).pages(), not a {type(source).__name__}{what}"
    )
