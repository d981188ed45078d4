"""Decode: the bytes of an answer become a `ContactPage`, or a list of what is wrong with them.

Tolerant where the API documents nothing (new statuses and fields, null or absent data,
timestamps without a zone), strict where a guess could lose a contact: ``id``,
``phone_number``, ``status`` and the numbers of ``pagination``. Two private converters share
the hooks: a fast one for every page, and one that names places for the page that fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from ._models import Contact, ContactData, ContactPage, ContactStatus, Pagination

MOST_PAGES = 10_000_000
MOST_PROBLEMS = 20

T = TypeVar("T")

_DOCUMENTED = {field.name for field in attrs.fields(ContactData)} - {"extra"}
_JSON_NAMES = {
    bool: "true or false",
    dict: "an object",
    float: "a fraction",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "null",
}


@attrs.frozen
class Undecodable:
    """Say why bytes are no page of contacts; *problems* hold places and never a value.

    *broken* tells bytes that are no JSON at all, as half an answer is, from JSON that says
    something else: only the first can be better next time.
    """

    problems: tuple[str, ...]
    broken: bool


class Misfit(ValueError):
    """Say what was expected of a value, without the value."""


def decode_page(body: bytes) -> ContactPage | Undecodable:
    """Return the page that *body* holds, or what is wrong with it."""
    content = _parse(body)
    if isinstance(content, Undecodable):
        return content
    try:
        return _fast.structure(content, ContactPage)
    except Exception:  # noqa: BLE001 - whatever went wrong, the careful converter names it
        return Undecodable(_problems(content), broken=False)


def _parse(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        return Undecodable(("the JSON is nested too deeply",), broken=False)
    except ValueError:
        pass
    # msgspec refuses two things that are legal: half a surrogate pair in a text, which a
    # contact's name may hold, and a byte order mark.
    try:
        return json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite_float
        )
    except (ValueError, RecursionError):
        return Undecodable(("the body is not complete, valid JSON",), broken=True)


def _refuse(constant: str) -> Any:
    raise Misfit(f"{constant} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse("infinity")


def _problems(content: Any) -> tuple[str, ...]:
    try:
        _careful.structure(content, ContactPage)
    except Exception as error:  # noqa: BLE001 - cattrs groups them, or passes a single one on
        lines = cattrs.transform_error(error, path="$", format_exception=_describe)
        problems = tuple(_place_first(line) for line in lines)
    else:
        problems = ("the page cannot be read",)
    if len(problems) <= MOST_PROBLEMS:
        return problems
    return (*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more")


def _describe(error: BaseException, _type: type[Any] | None) -> str:
    if isinstance(error, Misfit):
        return str(error)
    return "missing" if isinstance(error, KeyError) else "cannot be read"


def _place_first(line: str) -> str:
    what, _, place = line.rpartition(" @ $")
    return f"{place.removeprefix('.') or 'body'}: {what}"


def _expected(what: str, value: object) -> Misfit:
    return Misfit(f"expected {what}, got {_JSON_NAMES[type(value)]}")


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
    try:
        # Upper case, because RFC 3339 allows a small t and z, and Python does not.
        moment = datetime.fromisoformat(_text(value).upper())
    except Misfit:
        raise
    except ValueError:
        moment = None
    if moment is None:
        raise Misfit("not an ISO 8601 date and time")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _mapping(value: Any, _type: object = None) -> dict[str, Any]:
    if type(value) is dict:
        return value
    if value is None or value in ("", []):
        return {}
    raise _expected("an object", value)


def _page_number(value: Any, _type: object = None) -> int:
    number = _whole(value)
    if number < 1:
        raise Misfit("must be at least 1")
    return number


def _total(value: Any, _type: object = None) -> int:
    number = _whole(value)
    if number < 0:
        raise Misfit("must not be negative")
    return number


def _total_pages(value: Any, _type: object = None) -> int:
    number = _total(value)
    if number > MOST_PAGES:
        raise Misfit(f"more than {MOST_PAGES:,} pages cannot be right")
    return number


def _object(value: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise _expected("an object", value)


def _converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)

    def fields(cl: type[T], **overrides: Any) -> Callable[[dict[str, Any], Any], T]:
        return make_dict_structure_fn(
            cl, converter, _cattrs_detailed_validation=detailed, **overrides
        )

    def by(hook: Callable[[Any, Any], Any]) -> Any:
        return override(struct_hook=hook)

    data_fields = fields(
        ContactData,
        company=by(_optional_text),
        source=by(_optional_text),
        variable_values=by(_mapping),
        custom_fields=by(_mapping),
        extra=by(_mapping),
    )

    def contact_data(value: Any, cl: Any = ContactData) -> ContactData:
        mapping = _mapping(value)
        if not mapping.keys() <= _DOCUMENTED:
            extra = {key: mapping[key] for key in mapping if key not in _DOCUMENTED}
            mapping = {**mapping, "extra": extra}
        return data_fields(mapping, cl)

    contact_fields = fields(
        Contact,
        id=by(_whole),
        phone_number=by(_text),
        contact_data=by(contact_data),
        status=by(_status),
        attempts=by(_count_or_none_yet),
        created_at=by(_moment),
        last_attempt_at=by(_moment),
    )

    def contact(value: Any, cl: Any) -> Contact:
        mapping = _object(value)
        if "contact_data" not in mapping:
            mapping = {**mapping, "contact_data": None}
        return contact_fields(mapping, cl)

    pagination_fields = fields(
        Pagination,
        page=by(_page_number),
        per_page=by(_page_number),
        total_items=by(_total),
        total_pages=by(_total_pages),
        has_next=by(_yes_or_no),
        has_prev=by(_yes_or_no),
    )

    def pagination(value: Any, cl: Any = Pagination) -> Pagination:
        return pagination_fields(_with_neighbours(_object(value)), cl)

    def contacts(value: Any, _cl: Any = None) -> tuple[Contact, ...]:
        if type(value) is not list:
            raise _expected("a list", value)
        return converter.structure(value, tuple[Contact, ...])

    page_fields = fields(ContactPage, contacts=by(contacts), pagination=by(pagination))
    converter.register_structure_hook(Contact, contact)
    converter.register_structure_hook(
        ContactPage, lambda value, cl: page_fields(_object(value), cl)
    )
    return converter


def _with_neighbours(pagination: dict[str, Any]) -> dict[str, Any]:
    """Return *pagination* with what page and total_pages say where has_next or has_prev is absent."""
    if pagination.get("has_next") is not None and pagination.get("has_prev") is not None:
        return pagination
    page, total = pagination.get("page"), pagination.get("total_pages")
    if not (isinstance(page, int) and isinstance(total, int)):
        return {"has_next": False, "has_prev": False, **pagination}
    implied = {"has_next": page < total, "has_prev": page > 1}
    return {**pagination, **{k: v for k, v in implied.items() if pagination.get(k) is None}}


_fast = _converter(detailed=False)
_careful = _converter(detailed=True)
