"""Contacts query: the contacts that the arguments of `BurkiClient.contacts` ask for."""

from __future__ import annotations

from typing import Any, SupportsIndex

from ._contacts import Contacts
from ._endpoint import ListQuery
from ._errors import ConfigurationError
from ._list_contacts import CONTACTS, MAX_PER_PAGE, requested_status
from ._list_reader import ListReader
from ._models import ContactStatus, StatusText
from ._paging import Prefetch
from ._range import ContactRange, bounds_of
from ._requests import Fetcher
from ._validation import flag, whole_number


def contacts_of(
    fetcher: Fetcher,
    running: set[Prefetch[Any]],
    server: str,
    campaign: SupportsIndex | ContactRange | str,
    *,
    status: ContactStatus | StatusText | str | None,
    per_page: SupportsIndex,
    limit: SupportsIndex | None,
    complete: bool,
) -> Contacts:
    """Return the contacts of a campaign or a range, for these arguments of `BurkiClient.contacts`.

    Raises:
        ConfigurationError: an argument is out of range or of the wrong type.
    """
    is_complete = flag("complete", complete)
    if isinstance(campaign, ContactRange | str):
        part = campaign if isinstance(campaign, ContactRange) else ContactRange.parse(campaign)
        _check_range(part, server, status, is_complete=is_complete)
    else:
        part = ContactRange(
            server=server,
            campaign_id=whole_number("campaign_id", campaign, low=1),
            status=None if status is None else requested_status(status),
        )
    wanted = part.status
    filters = () if wanted is None else (("status", wanted.value),)
    reader = ListReader(
        query=ListQuery(CONTACTS, part.campaign_id, filters),
        per_page=whole_number("per_page", per_page, low=1, high=MAX_PER_PAGE),
        limit=None if limit is None else whole_number("limit", limit, low=0),
        is_complete=is_complete,
        fetcher=fetcher,
        running=running,
        matches=None if wanted is None else lambda contact: contact.status == wanted,
        bounds=bounds_of(part),
        order=part.order,
    )
    return Contacts(reader, part, is_range=part is campaign or isinstance(campaign, str))


def _check_range(part: ContactRange, server: str, status: object, *, is_complete: bool) -> None:
    if part.server != server:
        raise ConfigurationError(
            f"the range is of another server, {part.server}, and this client reads from {server}: "
            "make the client with the base_url of the range"
        )
    if status is not None:
        raise ConfigurationError("a range has its own status: leave out status=")
    if not is_complete:
        raise ConfigurationError("a range is always read completely: leave out complete=False")
    if part.order:
        _check_order(part)


def _check_order(part: ContactRange) -> None:
    columns = {order.name: len(order.columns) for order in CONTACTS.orders}
    if part.order not in columns:
        raise ConfigurationError(
            f"the range is in an order that this version of aioburki does not know, "
            f"{part.order[:40]!r}: use the version that made it, or begin a new pull"
        )
    for key in (part.after, part.until):
        if key is not None and isinstance(key, tuple) != (columns[part.order] > 1):
            raise ConfigurationError(
                f"the range is sorted by {part.order!r}, and begins or ends at a key of another "
                "order: use it as it was made, or begin a new pull"
            )
