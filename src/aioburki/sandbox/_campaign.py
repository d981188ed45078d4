"""Campaign: the made-up contacts of the sandbox, in a list that can change."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import Any

from .._models import ContactStatus

STATUSES = tuple(status.value for status in ContactStatus)
_WEIGHTS = (30, 2, 38, 8, 4, 10, 4, 4)
_FIRST_ID = 101
_FIRST_DAY = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
_IMPORT_SIZE = 500  # contacts that were imported together have the same created_at
_NAMES = ("John Smith", "Jane Doe", "Ana Souza", "Li Wei", "Zoë Müller", "Omar Haddad")
_COMPANIES = ("Acme Corp", "Tech Inc", "Globex", "Initech", "Umbrella", "Stark Industries")


class Campaign:
    """The contacts of one campaign, sorted by id; the same seed gives the same contacts."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._draw = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._next_id = _FIRST_ID
        self._ids: array[int] = array("q")
        self._statuses = bytearray()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, count: int) -> None:
        """Add *count* contacts at the end of the list."""
        self._ids.extend(range(self._next_id, self._next_id + count))
        self._next_id += count
        self._statuses.extend(self._draw.choices(range(len(STATUSES)), _WEIGHTS, k=count))

    def remove(self, contact_id: int) -> None:
        """Remove a contact; all later contacts move up.

        Raises:
            KeyError: there is no such contact.
        """
        place = self._place(contact_id)
        del self._ids[place]
        del self._statuses[place]

    def set_status(self, contact_id: int, status: ContactStatus) -> None:
        """Set a contact's status.

        Raises:
            KeyError: there is no such contact.
        """
        self._statuses[self._place(contact_id)] = STATUSES.index(status.value)

    def page(self, page: int, per_page: int, status: str | None) -> dict[str, Any]:
        """Return a page in the form that the API documents; one past the end has no contacts."""
        places = self._places(status)
        first = (page - 1) * per_page
        total_pages = -(-len(places) // per_page)
        return {
            "contacts": [self._contact(place) for place in places[first : first + per_page]],
            "pagination": {
                "page": page,
                "per_page": per_page,
                "total_items": len(places),
                "total_pages": total_pages,
                "has_next": page < total_pages,
                "has_prev": page > 1,
            },
        }

    def _places(self, status: str | None) -> range | list[int]:
        if status is None:
            return range(len(self._ids))
        code = STATUSES.index(status)
        return [place for place, own in enumerate(self._statuses) if own == code]

    def _place(self, contact_id: int) -> int:
        place = bisect_left(self._ids, contact_id)
        if place == len(self._ids) or self._ids[place] != contact_id:
            raise KeyError(contact_id)
        return place

    def _contact(self, place: int) -> dict[str, Any]:
        contact_id, status = self._ids[place], STATUSES[self._statuses[place]]
        mixed = (contact_id * 2_654_435_761 + self._seed * 40_503) % 2**32
        created = _FIRST_DAY + timedelta(days=(contact_id - _FIRST_ID) // _IMPORT_SIZE)
        attempts = 0 if status in ("pending", "skipped") else 1 + mixed % 3
        tried = created + timedelta(minutes=15 + mixed % 600) if attempts else None
        data: dict[str, Any] = {
            "company": _COMPANIES[mixed % len(_COMPANIES)],
            "source": "csv_import",
            "variable_values": {
                "name": _NAMES[mixed // 7 % len(_NAMES)],
                "appointment_date": f"{created + timedelta(days=14):%Y-%m-%d}",
            },
        }
        if contact_id % 2:  # absent in every other contact, as in the API's documentation
            data["custom_fields"] = {"customer_id": f"CUST{contact_id:06}"}
        return {
            "id": contact_id,
            "phone_number": f"+1555{mixed % 10**7:07}",
            "contact_data": data,
            "status": status,
            "attempts": attempts,
            "created_at": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "last_attempt_at": tried and f"{tried:%Y-%m-%dT%H:%M:%SZ}",
        }
