"""Source: what an export takes, the contacts to pull or an iterator of their pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager

import anyio.lowlevel

from .._contacts import Contacts
from .._errors import ConfigurationError
from .._models import ContactPage
from .._stream import ContactStream

Pages = AsyncIterator[ContactPage] | Iterator[ContactPage]
"""An iterator of pages, also a synchronous one."""


def check_source(source: Contacts | Pages) -> None:
    """Return if *source* can be exported, as far as that shows before it is read.

    Raises:
        ConfigurationError: it is neither contacts nor an iterator that may yield pages.
    """
    is_iterator = isinstance(source, AsyncIterator | Iterator)
    if isinstance(source, ContactStream) or not (is_iterator or isinstance(source, Contacts)):
        raise _refusal(type(source).__name__)


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
    async for page in _in_turns(source) if isinstance(source, Iterator) else source:
        if not isinstance(page, ContactPage):
            kind = type(page).__name__
            del page  # it may be a row; reporters of errors show local variables
            raise _refusal(f"{type(source).__name__} of {kind}")
        yield page


async def _in_turns(pages: Iterator[ContactPage]) -> AsyncGenerator[ContactPage, None]:
    """Yield *pages*, and let other tasks run between two of them."""
    for page in pages:
        yield page
        await anyio.lowlevel.checkpoint()


def _refusal(what: str) -> ConfigurationError:
    return ConfigurationError(
        "an export takes contacts, such as burki.contacts(42), or an iterator of pages, such as "
        f"pages() of contacts or of a stream, not {what}"
    )
