"""Contact row: what tables are made of. Contacts have these attributes, and so have parsed rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol


class ContactDataRow(Protocol):
    """The attributes of `ContactData`."""

    @property
    def company(self) -> str | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def variable_values(self) -> Mapping[str, Any]: ...
    @property
    def custom_fields(self) -> Mapping[str, Any]: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...


class ContactRow(Protocol):
    """The attributes of `Contact`. The status of a row is plain text."""

    @property
    def id(self) -> int: ...
    @property
    def phone_number(self) -> str: ...
    @property
    def contact_data(self) -> ContactDataRow: ...
    @property
    def status(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def created_at(self) -> datetime | None: ...
    @property
    def last_attempt_at(self) -> datetime | None: ...
