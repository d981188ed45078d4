"""Range: a part of a campaign's list, as a value that another process can read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Self

import attrs
from attrs.validators import optional

from ._errors import ConfigurationError
from ._models import ContactStatus
from ._paging import Bounds, Key
from ._validation import shown, whole_number

# Raised with every change that an older version cannot read.
VERSION = 1
_PREFIX = "aioburki-range"
# No URL of a server is longer, and it is shown in errors.
MAX_TEXT = 500


def _is_count(low: int) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_range: Any, field: attrs.Attribute[Any], value: Any) -> None:
        whole_number(field.name, value, low=low)

    return check


def _is_text(_range: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{field.name} must be text, not {shown(value)}")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise ConfigurationError(f"{field.name} must be at most {MAX_TEXT:,} printable characters")


def _is_status(_range: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, ContactStatus):
        raise ConfigurationError(f"{field.name} must be a ContactStatus, not {shown(value)}")


def _is_key(_range: Any, field: attrs.Attribute[Any], value: Any) -> None:
    """Raise `ConfigurationError` unless *value* is an id, or a time and an id."""
    time, number = value if isinstance(value, tuple) and len(value) == 2 else (None, value)
    is_id = isinstance(number, int) and not isinstance(number, bool)
    if not is_id or not (time is None or _is_aware(time)):
        raise ConfigurationError(f"{field.name} must be an id, or an aware time and an id")


def _is_aware(time: object) -> bool:
    return isinstance(time, datetime) and time.tzinfo is not None


@attrs.frozen(kw_only=True)
class ContactRange:
    """A part of the list of a campaign: the contacts behind one sort key, up to another.

    Made by `ContactStream.rest` and `Contacts.split`, read with ``burki.contacts(range)``. Holds
    ids and times only, no personal data. ``str(range)`` is a text that `parse` reads, on this or
    another machine. Frozen and picklable.

    Attributes:
        server: the base URL that the list is read from.
        campaign_id: the campaign.
        status: the status that the list is filtered by, or None.
        order: the sort key, such as ``"id"`` or ``"-created_at,-id"``; empty if no contact has
            been read yet and none is skipped.
        after: the key behind which the range begins: an id, or creation time and id; None for the
            start of the list.
        until: the last key of the range; None for the end of the list.
        offset: where *after* was last seen, a place to start looking.
        end: where *until* was last seen; 0 for unknown.

    Raises:
        ConfigurationError: a field is of the wrong type or out of range.
    """

    server: str = attrs.field(validator=_is_text)
    campaign_id: int = attrs.field(validator=_is_count(1))
    status: ContactStatus | None = attrs.field(default=None, validator=optional(_is_status))
    order: str = attrs.field(default="", validator=_is_text)
    after: Key | None = attrs.field(default=None, validator=optional(_is_key))
    until: Key | None = attrs.field(default=None, validator=optional(_is_key))
    offset: int = attrs.field(default=0, validator=_is_count(0))
    end: int = attrs.field(default=0, validator=_is_count(0))

    def __attrs_post_init__(self) -> None:
        if not self.order and (self.after, self.until) != (None, None):
            raise ConfigurationError("a range that begins or ends at a key needs its order")

    def __str__(self) -> str:
        fields = [
            self.server,
            self.campaign_id,
            None if self.status is None else self.status.value,
            self.order,
            _plain(self.after),
            _plain(self.until),
            self.offset,
            self.end,
        ]
        body = json.dumps(fields, separators=(",", ":")).encode()
        text = base64.urlsafe_b64encode(body).decode().rstrip("=")
        return f"{_PREFIX}-{VERSION}.{text}.{_check(body)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the range that *text* holds, as ``str(range)`` returned it.

        Raises:
            ConfigurationError: *text* is no range, was altered, or is of a newer version.
        """
        if not isinstance(text, str):
            raise ConfigurationError(f"a range must be text, not {type(text).__name__}")
        text = text.strip()
        name, _, rest = text.partition(".")
        encoded, _, _ = rest.partition(".")
        prefix, _, version = name.rpartition("-")
        if prefix != _PREFIX or not version.isdecimal():
            # Most likely the number of a campaign, given as text.
            raise ConfigurationError(
                "campaign_id must be a whole number of at least 1, not a str: give it as an int, "
                f"such as 42. Text is for ranges only and begins with {_PREFIX!r}"
            )
        if version != str(VERSION):
            raise ConfigurationError(
                f"the range was made by another version of aioburki (format {version[:9]}, this "
                f"one reads {VERSION}): use that version, or begin a new pull"
            )
        part = cls._of(_fields(encoded))
        if part is None or str(part) != text:  # its checksum is compared with the rest
            raise ConfigurationError("the range was altered or cut off: copy it whole")
        return part

    @classmethod
    def _of(cls, fields: list[Any]) -> Self | None:
        """Return the range with these *fields*, or None if they are no range."""
        try:
            server, campaign_id, status, order, after, until, offset, end = fields
            return cls(
                server=server,
                campaign_id=campaign_id,
                status=None if status is None else ContactStatus(status),
                order=order,
                after=_key(after),
                until=_key(until),
                offset=offset,
                end=end,
            )
        except (TypeError, ValueError):
            return None


def _check(body: bytes) -> str:
    """Return a checksum, against accidents; it is no signature."""
    return hashlib.sha256(body).hexdigest()[:12]


def _fields(encoded: str) -> list[Any]:
    """Return the fields in the text of a range, or nothing if it holds none."""
    try:
        fields = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        return []
    return fields if isinstance(fields, list) else []


def _plain(key: Key | None) -> Any:
    if isinstance(key, tuple):
        return [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return key


def _key(plain: Any) -> Key | None:
    if isinstance(plain, list):
        return tuple(
            datetime.fromisoformat(part) if isinstance(part, str) else part for part in plain
        )
    return plain


def bounds_of(part: ContactRange) -> Bounds | None:
    """Return the keys between which *part* is, or None for a whole list."""
    if part.after is None and part.until is None:
        return None
    return Bounds(part.after, part.until, part.offset, part.end)


def divided(whole: ContactRange, places: Sequence[tuple[Key, int]]) -> list[ContactRange]:
    """Return *whole* in parts that end at the keys of *places*, which are near these offsets."""
    ranges: list[ContactRange] = []
    for key, offset in places:
        ranges.append(attrs.evolve(whole, until=key, end=offset))
        whole = attrs.evolve(whole, after=key, offset=offset)
    return [*ranges, whole]
