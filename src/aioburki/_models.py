"""Models: what the API's answers become. Values only, nothing here does I/O.

The fields are those of the API's reference page; which of them may be absent or null is
documented nowhere, so only ``id``, ``phone_number`` and ``status`` are counted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from ._page import Pagination

if TYPE_CHECKING:
    FreeForm = dict[str, Any]
else:
    # Said to msgspec as well, the type would have it copy each dict that it has just built.
    FreeForm = Any


class ContactStatus(StrEnum):
    """Name where a contact stands, by the API's eight documented values.

    A value the server adds later is kept as itself: ``ContactStatus("queued") == "queued"``,
    with ``is_known`` False.
    """

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"

    @classmethod
    def _missing_(cls, value: object) -> ContactStatus | None:
        if not isinstance(value, str):
            return None
        # A new status must not break every pull; equality and hash are those of str.
        status = str.__new__(cls, value)
        status._name_ = value
        status._value_ = value
        return status

    @property
    def is_known(self) -> bool:
        """Tell whether the value is one of the eight documented ones."""
        return self._value_ in type(self)._value2member_map_


@attrs.frozen(repr=False)
class ContactData:
    """Hold what was imported with a contact; each part may be empty.

    Attributes:
        company: company name, or None.
        source: where the contact came from, such as ``"csv_import"``, or None.
        variable_values: values available to templates; free-form JSON.
        custom_fields: further imported fields; free-form JSON.
        extra: keys that the API does not document, as they came.
    """

    company: str | None = None
    source: str | None = None
    variable_values: FreeForm = attrs.field(factory=dict, hash=False)
    custom_fields: FreeForm = attrs.field(factory=dict, hash=False)
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False)

    def __repr__(self) -> str:
        counts = (
            f"{len(mapping)} {name}"
            for name, mapping in (
                ("variable_values", self.variable_values),
                ("custom_fields", self.custom_fields),
                ("extra", self.extra),
            )
        )
        return f"ContactData({', '.join(counts)})"


@attrs.frozen(repr=False)
class Contact:
    """Hold one contact of a campaign. Its `repr` shows two digits of the phone number.

    Attributes:
        id: unique contact identifier.
        phone_number: E.164, such as ``"+15551234567"``.
        contact_data: what was imported with the contact.
        status: where the contact stands.
        attempts: number of contact attempts so far.
        created_at: when the contact was added, aware (UTC where the server gives no zone).
        last_attempt_at: last attempt, aware, or None.
    """

    id: int
    phone_number: str
    contact_data: ContactData
    status: ContactStatus
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None

    def __repr__(self) -> str:
        return (
            f"Contact(id={self.id}, phone_number='…{self.phone_number[-2:]}', "
            f"status={self.status.value!r}, attempts={self.attempts})"
        )


@attrs.frozen(repr=False)
class ContactPage:
    """Hold one page of contacts, in the server's order; iterable, with ``len``."""

    contacts: tuple[Contact, ...]
    pagination: Pagination

    def __iter__(self) -> Iterator[Contact]:
        return iter(self.contacts)

    def __len__(self) -> int:
        return len(self.contacts)

    def __bool__(self) -> bool:
        # A page is there even if it is empty.
        return True

    def __repr__(self) -> str:
        place = f"page {self.pagination.page} of {self.pagination.total_pages}"
        return f"ContactPage({place}, {len(self.contacts)} contacts)"
