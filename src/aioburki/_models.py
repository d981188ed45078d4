"""Models: the data objects that the API's responses are decoded into. Nothing here does I/O.

The fields are those of the API's reference page. It does not say which of them may be absent
or null, so only ``id``, ``phone_number`` and ``status`` are required.

Personal data is shown only to code that asks for it by name. Tools that print objects do not
all use ``__repr__``, so each class below hides its personal data from all of them:

- ``repr=False`` on a field hides it from tools that read the fields of attrs classes
  (logfire, and rich where a class has no ``__rich_repr__``).
- ``__rich_repr__`` is the masked form that rich and structlog's tracebacks print.
- An ``__eq__`` of our own keeps pytest from printing the differing fields of two objects:
  it compares field by field only where attrs has generated ``__eq__``
  (``has_default_eq`` in ``_pytest/assertion``).
- ``__dir__`` leaves the fields out, because ``rich.inspect`` prints the value of every name
  that ``dir()`` returns. Completion in the REPL and in IPython reads the class as well.

`to_dict`, `attrs.asdict` and `pickle` return the whole data.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ._page import Pagination
from ._pydantic import data_schema, status_schema

if TYPE_CHECKING:
    FreeForm = dict[str, Any]
else:
    # Given the exact type, msgspec would copy each dict that it has just built.
    FreeForm = Any


# The values of `ContactStatus`, which editors complete where a status may be given as text.
StatusText = Literal[
    "pending",
    "in_progress",
    "completed",
    "failed",
    "skipped",
    "no_answer",
    "busy",
    "voicemail",
]


class ContactStatus(StrEnum):
    """Status of a contact: one of the API's eight documented values, or a newer one.

    A value that the API does not document is kept: ``ContactStatus("queued") == "queued"``,
    with `is_known` False. A value that is not text raises ValueError.
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
        # A new status must not make every pull fail. Equality and hash are those of str.
        status = str.__new__(cls, value)
        status._name_ = value
        status._value_ = value
        return status

    @property
    def is_known(self) -> bool:
        """Return whether the value is one of the eight documented ones."""
        return self._value_ in type(self)._value2member_map_

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return status_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        known = [member.value for member in cls]
        either = [{"type": "string", "enum": known}, {"type": "string"}]
        words = "One of the documented statuses, or a newer one."
        return {"title": cls.__name__, "description": words, "anyOf": either}


def _names_without(data: object, *hidden: str) -> list[str]:
    return [name for name in object.__dir__(data) if name not in hidden]


@attrs.frozen(repr=False, eq=False)
class ContactData:
    """Data that was imported with a contact. Its `repr` shows how many values there are.

    Attributes:
        company: company name, or None.
        source: where the contact came from, such as ``"csv_import"``, or None.
        variable_values: values available to templates; free-form JSON.
        custom_fields: further imported fields; free-form JSON.
        extra: fields that the API does not document, unchanged.
    """

    company: str | None = attrs.field(default=None, repr=False)
    source: str | None = attrs.field(default=None, repr=False)
    variable_values: FreeForm = attrs.field(factory=dict, repr=False)
    custom_fields: FreeForm = attrs.field(factory=dict, repr=False)
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(_data_values(self) == _data_values(other))

    def __hash__(self) -> int:
        return hash((self.company, self.source))  # free-form JSON has no hash

    def __dir__(self) -> list[str]:
        return _names_without(self, *(field.name for field in attrs.fields(ContactData)))

    def __repr__(self) -> str:
        return f"ContactData({', '.join(self.__rich_repr__())})"

    def __rich_repr__(self) -> Iterator[str]:
        yield f"{len(self.variable_values)} variable_values"
        yield f"{len(self.custom_fields)} custom_fields"
        yield f"{len(self.extra)} extra"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        types = {"variable_values": dict[str, Any], "custom_fields": dict[str, Any]}
        return data_schema(cls, handler, types)


@attrs.frozen(repr=False, eq=False)
class Contact:
    """One contact of a campaign. Its `repr` shows two digits of the phone number.

    Attributes:
        id: unique contact identifier.
        phone_number: E.164, such as ``"+442079460958"``.
        contact_data: data that was imported with the contact.
        status: status of the contact.
        attempts: number of contact attempts so far.
        created_at: when the contact was added, aware (UTC where the server gives no zone).
        last_attempt_at: last attempt, aware, or None.
    """

    id: int
    phone_number: str = attrs.field(repr=False)
    contact_data: ContactData = attrs.field(repr=False)
    status: ContactStatus
    attempts: int = 0
    created_at: datetime | None = None
    last_attempt_at: datetime | None = None

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(_contact_values(self) == _contact_values(other))

    def __hash__(self) -> int:
        return hash(_contact_values(self))

    def __dir__(self) -> list[str]:
        return _names_without(self, "phone_number", "contact_data")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Contact({shown})"

    def __rich_repr__(self) -> Iterator[tuple[str, object]]:
        yield "id", self.id
        yield "phone_number", f"…{self.phone_number[-2:]}"
        yield "status", self.status.value
        yield "attempts", self.attempts

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        return data_schema(cls, handler)


@attrs.frozen(repr=False)
class ContactPage:
    """One page of contacts, in the server's order; iterable, with ``len``.

    A page is true even if it is empty. Its `repr` shows no contacts.
    """

    contacts: tuple[Contact, ...] = attrs.field(repr=False)
    pagination: Pagination

    def __iter__(self) -> Iterator[Contact]:
        return iter(self.contacts)

    def __len__(self) -> int:
        return len(self.contacts)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"ContactPage({', '.join(self.__rich_repr__())})"

    def __rich_repr__(self) -> Iterator[str]:
        yield f"page {self.pagination.page} of {self.pagination.total_pages}"
        yield f"{len(self.contacts)} contacts"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        return data_schema(cls, handler)


_data_values = attrgetter(*(field.name for field in attrs.fields(ContactData)))
_contact_values = attrgetter(*(field.name for field in attrs.fields(Contact)))
