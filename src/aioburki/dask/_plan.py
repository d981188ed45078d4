"""Plan: the ranges that campaigns are divided into."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from operator import itemgetter
from typing import Any, SupportsIndex

from .._client import BurkiClient
from .._contacts import MAX_PARTS, Contacts
from .._errors import ConfigurationError
from .._models import ContactStatus
from .._range import ContactRange
from .._validation import shown

Campaign = SupportsIndex | ContactRange | str


def listed(campaigns: Campaign | Iterable[Campaign]) -> list[Campaign]:
    """Return the campaigns that were given, one or several, as a list.

    Raises:
        ConfigurationError: there is none.
    """
    if isinstance(campaigns, ContactRange | str | SupportsIndex):
        return [campaigns]
    if not isinstance(campaigns, Iterable) or isinstance(campaigns, bytes):
        raise ConfigurationError(
            "campaigns must be a campaign's number, a range, or several of them, "
            f"not {shown(campaigns)}"
        )
    several = list(campaigns)
    if not several:
        raise ConfigurationError("campaigns is empty: give at least one")
    return several


async def planned(
    burki: BurkiClient,
    campaigns: list[Campaign],
    status: ContactStatus | str | None,
    size: int,
) -> list[ContactRange]:
    """Return ranges of about *size* contacts that together are the *campaigns*.

    One request for each campaign, and one for each range of a campaign of several.

    Raises:
        ConfigurationError: a campaign or the status cannot be used, or two overlap.
        UnorderedListError: a campaign of several ranges has no usable order.
        BurkiError: a request failed.
    """
    queries = [burki.contacts(campaign, status=status) for campaign in campaigns]
    _check_overlaps([contacts.range for contacts in queries])
    parts: list[ContactRange] = []
    for contacts in queries:
        count = await _number_of_parts(burki, contacts, size)
        parts += [contacts.range] if count <= 1 else await contacts.split(min(count, MAX_PARTS))
    return parts


async def _number_of_parts(burki: BurkiClient, contacts: Contacts, size: int) -> int:
    part = contacts.range
    end = part.end
    if not end:
        end = await burki.contacts(part.campaign_id, status=part.status).count()
    return -((part.offset - end) // size)


def _check_overlaps(ranges: list[ContactRange]) -> None:
    """Raise `ConfigurationError` if a campaign is there twice; its ranges may be disjoint."""
    by_campaign: defaultdict[int, list[ContactRange]] = defaultdict(list)
    for part in ranges:
        by_campaign[part.campaign_id].append(part)
    for campaign_id, parts in by_campaign.items():
        if _overlap(parts):
            raise ConfigurationError(
                f"campaign {campaign_id} is given more than once, so that contacts would be read "
                "more than once: give disjoint ranges, or the campaign alone"
            )


def _overlap(parts: list[ContactRange]) -> bool:
    """Return whether ranges of one campaign overlap, as far as their keys can be compared."""
    by_status: defaultdict[ContactStatus | None, list[ContactRange]] = defaultdict(list)
    for part in parts:
        by_status[part.status].append(part)
    of_all = by_status.pop(None, [])  # which hold contacts of every status
    return any(_share_keys([*of_all, *each]) for each in (by_status.values() or [[]]))


def _share_keys(parts: list[ContactRange]) -> bool:
    """Return whether ranges overlap that may hold the same statuses."""
    by_order: defaultdict[str, list[ContactRange]] = defaultdict(list)
    for part in parts:
        if (part.after, part.until) == (None, None):
            return len(parts) > 1  # a whole list
        by_order[part.order].append(part)
    return any(_intersect(order, each) for order, each in by_order.items())


def _intersect(order: str, parts: list[ContactRange]) -> bool:
    """Return whether ranges between keys of one order have keys in common."""
    low, high = ("until", "after") if order.startswith("-") else ("after", "until")
    bounds = sorted(
        ((_tuple(getattr(part, low)), getattr(part, high)) for part in parts), key=itemgetter(0)
    )
    return any(end is None or _tuple(end) > start for (_, end), (start, _) in pairwise(bounds))


def _tuple(key: Any) -> tuple[Any, ...]:
    """Return a key as a tuple; None, the start of the keys, as the one before all others."""
    return () if key is None else key if isinstance(key, tuple) else (key,)
