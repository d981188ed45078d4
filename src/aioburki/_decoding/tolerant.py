"""Structure: parsed JSON becomes a `ContactPage`, or a list of what is wrong with it.

Tolerant where the API documents nothing (new statuses and fields, null or absent data,
timestamps without a zone), strict where a guess could lose a contact: ``id``,
``phone_number``, ``status`` and the numbers of ``pagination``. Two private converters share
the hooks: one that is quick, and one that names the places of faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from .._models import Contact, ContactData, ContactPage, ContactStatus, Pagination

MAX_PAGES = 10_000_000
MAX_ITEMS = MAX_PAGES * 1000
MAX_ROWS = 10_000  # ten times what the API allows
MAX_PROBLEMS = 20

T = TypeVar("T")
Hook = Callable[[Any, Any], T]

_DOCUMENTED = {field.name for field in attrs.fields(ContactData)} - {"extra"}
_JSON_NAMES: dict[type[Any], str] = {
    bool: "true or false",
    dict: "an object",
    float: "a fraction",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "null",
}


class MisfitError(ValueError):
    """Say what was expected of a value, without the value."""


def structure_page(content: Any) -> ContactPage | tuple[str, ...]:
    """Return the page that parsed JSON holds, or what is wrong with it, each with its place."""
    page = _structured(_converter(detailed=False), content, ContactPage)
    if isinstance(page, ContactPage):
        return page
    problems = tuple(islice(_problems(content), MAX_PROBLEMS + 1))
    if not problems:  # the careful converter has the last word
        return _converter(detailed=True).structure(content, ContactPage)
    more = problems[MAX_PROBLEMS:] and ("and more",)
    return (*problems[:MAX_PROBLEMS], *more)


def structure_contact_data(content: Any) -> ContactData:
    """Return the data of one contact, or raise what cattrs says of it."""
    return _converter(detailed=False).structure(content, ContactData)


def _problems(content: Any) -> Iterator[str]:
    """Yield what is wrong, each with its place.

    Contacts are looked at one by one: cattrs would collect the faults of all of them, which
    for a hostile page takes longer than anybody waits.
    """
    contacts = content.get("contacts") if type(content) is dict else None
    if type(contacts) is list and len(contacts) <= MAX_ROWS:
        for index, contact in enumerate(contacts):
            yield from _faults(contact, Contact, f"contacts[{index}]")
        content = {**content, "contacts": []}
    yield from _faults(content, ContactPage, "$")


def _faults(value: Any, cl: type[Any], place: str) -> Iterator[str]:
    if not isinstance(_structured(_converter(detailed=False), value, cl), Exception):
        return
    error = _structured(_converter(detailed=True), value, cl)
    if isinstance(error, Exception):
        for line in cattrs.transform_error(error, path=place, format_exception=_describe):
            yield _place_first(line)


def _structured(converter: cattrs.Converter, value: Any, cl: type[T]) -> T | Exception:
    try:
        return converter.structure(value, cl)
    except Exception as error:  # noqa: BLE001 - cattrs groups what hooks raise, or passes it on
        return error


def _describe(error: BaseException, _type: type[Any] | None) -> str:
    if isinstance(error, MisfitError):
        return str(error)
    return "missing" if isinstance(error, KeyError) else "cannot be read"


def _place_first(line: str) -> str:
    what, _, place = line.rpartition(" @ ")
    return f"{place.removeprefix('$').removeprefix('.') or 'body'}: {what}"


def _expected(what: str, value: object) -> MisfitError:
    return MisfitError(f"expected {what}, got {_JSON_NAMES[type(value)]}")


def _text(value: Any, _type: object = None) -> str:
    if type(value) is str:
        return value
    raise _expected("text", value)


def _whole(value: Any, _type: object = None) -> int:
    # `type`, because True is an int to isinstance and no id to anybody.
    if type(value) is int:
        return value
    raise _expected("a whole number", value)


def _status(value: Any, _type: object = None) -> ContactStatus:
    return ContactStatus(_text(value))


def _yes_or_no(value: Any, _type: object = None) -> bool:
    if type(value) is bool:
        return value
    raise _expected("true or false", value)


def _optional_text(value: Any, _type: object = None) -> str | None:
    return None if value is None else _text(value)


def _count_or_none_yet(value: Any, _type: object = None) -> int:
    return 0 if value is None else _whole(value)


def _moment(value: Any, _type: object = None) -> datetime | None:
    if value is None or value == "":
        return None
    moment = _rfc_3339(_text(value)) or _iso_8601(value)
    if moment is None:
        raise MisfitError("not an ISO 8601 date and time")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rfc_3339(text: str) -> datetime | None:
    # As the quick way reads it: Python rounds a ninth digit in another direction.
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None


def _iso_8601(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _mapping(value: Any, _type: object = None) -> dict[str, Any]:
    return {} if value is None or value in ("", []) else _object(value)


def _page_number(value: Any, _type: object = None) -> int:
    number = _whole(value)
    if number < 1:
        raise MisfitError("must be at least 1")
    return number


def _total(value: Any, most: int) -> int:
    number = _whole(value)
    if number < 0:
        raise MisfitError("must not be negative")
    if number > most:
        raise MisfitError(f"more than {most:,} cannot be right")
    return number


def _total_items(value: Any, _type: object = None) -> int:
    return _total(value, MAX_ITEMS)


def _total_pages(value: Any, _type: object = None) -> int:
    return _total(value, MAX_PAGES)


def _object(value: Any) -> dict[str, Any]:
    if type(value) is dict:
        mapping: dict[str, Any] = value
        return mapping
    raise _expected("an object", value)


@cache
def _converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(ContactData, _contact_data_hook(converter))
    converter.register_structure_hook(Contact, _contact_hook(converter))
    converter.register_structure_hook(Pagination, _pagination_hook(converter))
    converter.register_structure_hook(ContactPage, _page_hook(converter))
    return converter


def _contact_data_hook(converter: cattrs.Converter) -> Hook[ContactData]:
    by_field = _by_field(
        converter,
        ContactData,
        company=_optional_text,
        source=_optional_text,
        variable_values=_mapping,
        custom_fields=_mapping,
        extra=_mapping,
    )

    def hook(value: Any, cl: Any) -> ContactData:
        mapping = _mapping(value)
        if not mapping.keys() <= _DOCUMENTED:
            extra = {key: mapping[key] for key in mapping if key not in _DOCUMENTED}
            mapping = {**mapping, "extra": extra}
        return by_field(mapping, cl)

    return hook


def _contact_hook(converter: cattrs.Converter) -> Hook[Contact]:
    by_field = _by_field(
        converter,
        Contact,
        id=_whole,
        phone_number=_text,
        status=_status,
        attempts=_count_or_none_yet,
        created_at=_moment,
        last_attempt_at=_moment,
    )

    def hook(value: Any, cl: Any) -> Contact:
        mapping = _object(value)
        if "contact_data" not in mapping:
            mapping = {**mapping, "contact_data": None}
        return by_field(mapping, cl)

    return hook


def _pagination_hook(converter: cattrs.Converter) -> Hook[Pagination]:
    by_field = _by_field(
        converter,
        Pagination,
        page=_page_number,
        per_page=_page_number,
        total_items=_total_items,
        total_pages=_total_pages,
        has_next=_yes_or_no,
        has_prev=_yes_or_no,
    )
    return lambda value, cl: by_field(_with_neighbours(_object(value)), cl)


def _page_hook(converter: cattrs.Converter) -> Hook[ContactPage]:
    def contacts(value: Any, _cl: Any) -> tuple[Contact, ...]:
        if type(value) is not list:
            raise _expected("a list", value)
        if len(value) > MAX_ROWS:
            raise MisfitError(f"more than {MAX_ROWS:,} on one page cannot be right")
        return converter.structure(value, tuple[Contact, ...])

    by_field = _by_field(converter, ContactPage, contacts=contacts)
    return lambda value, cl: by_field(_object(value), cl)


def _by_field(converter: cattrs.Converter, cl: type[T], **hooks: Hook[Any]) -> Hook[T]:
    """Return cattrs' compiled function for *cl*, with *hooks* for the fields they name."""
    # cattrs types its overrides together with its switches, which are bool.
    overrides = {name: override(struct_hook=hook) for name, hook in hooks.items()}
    return make_dict_structure_fn(
        cl,
        converter,
        _cattrs_detailed_validation=converter.detailed_validation,
        **overrides,  # type: ignore[arg-type]
    )


def _with_neighbours(pagination: dict[str, Any]) -> dict[str, Any]:
    """Return *pagination* with what the page numbers say where has_next or has_prev is absent."""
    if pagination.get("has_next") is not None and pagination.get("has_prev") is not None:
        return pagination
    page, total = pagination.get("page"), pagination.get("total_pages")
    if not (isinstance(page, int) and isinstance(total, int)):
        return {"has_next": False, "has_prev": False, **pagination}
    implied = {"has_next": page < total, "has_prev": page > 1}
    return {**pagination, **{k: v for k, v in implied.items() if pagination.get(k) is None}}
