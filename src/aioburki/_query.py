"""Query: which contacts are wanted, and the request for one window of them."""

from __future__ import annotations

from typing import SupportsIndex

import attrs

from ._errors import ConfigurationError
from ._models import ContactStatus
from ._validation import shown, whole_number

# The API's reference page: per_page is 50 by default and 1,000 at most.
MAX_PER_PAGE = 1000


@attrs.frozen
class PageWindow:
    """Name a stretch of the list by the only means the API has: page number and page size."""

    page: int
    per_page: int


@attrs.frozen
class ContactQuery:
    """Say which contacts of which campaign are wanted; checked once, when it is made."""

    campaign_id: int
    status: ContactStatus | None
    per_page: int
    limit: int | None

    @property
    def path(self) -> str:
        """Return the endpoint's path."""
        return f"/api/v1/campaigns/{self.campaign_id}/contacts"

    def parameters(self, window: PageWindow) -> dict[str, str]:
        """Return the URL parameters that ask for *window*."""
        parameters = {"page": str(window.page), "per_page": str(window.per_page)}
        if self.status is not None:
            parameters["status"] = self.status.value
        return parameters


def contact_query(
    campaign_id: SupportsIndex,
    status: ContactStatus | str | None,
    per_page: SupportsIndex,
    limit: SupportsIndex | None,
) -> ContactQuery:
    """Return the query for these arguments of `BurkiClient.contacts`.

    Raises:
        ConfigurationError: an argument is out of range or of the wrong type.
    """
    return ContactQuery(
        campaign_id=whole_number("campaign_id", campaign_id, low=1),
        status=None if status is None else known_status(status),
        per_page=whole_number("per_page", per_page, low=1, high=MAX_PER_PAGE),
        limit=None if limit is None else whole_number("limit", limit, low=0),
    )


def known_status(status: ContactStatus | str) -> ContactStatus:
    """Return *status* as one of the eight documented ones, or raise `ConfigurationError`."""
    known = [member.value for member in ContactStatus]
    if not isinstance(status, str):
        raise ConfigurationError(f"status must be one of {', '.join(known)}, not {shown(status)}")
    if status not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - no import waits for typing errors

        close = get_close_matches(status.lower(), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(
            f"status={status[:40]!r} is not a contact status: {hint}Allowed: {', '.join(known)}"
        )
    return ContactStatus(status)
