"""Contact: a made-up contact in the form that the API documents; its id and the seed decide it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .._models import ContactStatus

STATUSES = tuple(status.value for status in ContactStatus)
FIRST_ID = 101
_FIRST_DAY = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
_FIRST_CHANGE = datetime(2025, 1, 1, tzinfo=UTC)
# Contacts that were imported together have the same created_at. As ids do not begin with a multiple
# of it, pages of 500 or 1,000 do not begin with an import.
_IMPORT_SIZE = 500
_NAMES = ("John Smith", "Jane Doe", "Ana Souza", "Li Wei", "Zoë Müller", "Omar Haddad")
_COMPANIES = ("Acme Corp", "Tech Inc", "Globex", "Initech", "Umbrella", "Stark Industries")


def import_of(contact_id: int) -> int:
    """Return the number of the import, from 0, that a contact came with."""
    return contact_id // _IMPORT_SIZE


def first_id_of(number: int) -> int:
    """Return the lowest id that a contact of import *number* can have."""
    return number * _IMPORT_SIZE


def made_up_contact(
    contact_id: int, seed: int, status: str, changed: int, more_attempts: int
) -> dict[str, Any]:
    """Return a contact as the API does.

    Args:
        contact_id: its id.
        seed: the seed of the sandbox.
        status: its status.
        changed: number of the change of the campaign that was its last; 0 if it never changed.
        more_attempts: attempts since the sandbox was made.
    """
    mixed = (contact_id * 2_654_435_761 + seed * 40_503) % 2**32
    created = _FIRST_DAY + timedelta(days=import_of(contact_id))
    attempts = more_attempts + (0 if status in ("pending", "skipped") else 1 + mixed % 3)
    tried = created + timedelta(minutes=15 + mixed % 600)
    if changed:
        tried = _FIRST_CHANGE + timedelta(seconds=changed)
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
        "last_attempt_at": f"{tried:%Y-%m-%dT%H:%M:%SZ}" if attempts else None,
    }
