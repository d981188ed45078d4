"""Serialize: data objects to plain data, ready for `json.dumps`."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, overload

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from ._events import error_text
from ._models import ContactData, ContactStatus
from ._report import PullReport


@overload
def to_dict(  # pyright: ignore[reportOverlappingOverload]
    obj: list[Any] | tuple[Any, ...],
) -> list[dict[str, Any]]: ...


@overload
def to_dict(obj: Any) -> dict[str, Any]: ...


def to_dict(obj: Any) -> dict[str, Any] | list[dict[str, Any]]:
    """Return *obj* as plain data that `json.dumps` accepts; of a list, a list of such data.

    *obj* is a data object of this package: a `Contact`, `ContactData`, `Pagination`, `ContactPage`,
    `PullReport` or an event; or a list or tuple of them, such as a `ContactList` or
    ``page.contacts``. The keys are its attribute names. Datetimes become ISO 8601 text, with ``Z``
    for UTC; an error becomes the name of its class and its text. Unlike `repr` it shows all data of
    a contact, phone number included. `from_dict` is the inverse.

    Raises:
        TypeError: *obj*, or an element of the list, is something else.
    """
    if isinstance(obj, list | tuple):
        return [_plain(each) for each in obj]
    return _plain(obj)


def _plain(obj: Any) -> dict[str, Any]:
    kind: type[Any] = type(obj)
    is_query = hasattr(kind, "__await__")  # `Contacts` is an attrs class too
    if is_query or isinstance(obj, type) or not attrs.has(kind):
        raise TypeError(
            f"to_dict takes a data object of aioburki or a list of them, not {kind.__name__}"
            f"{': await it first' if is_query else ''}"
        )
    plain: dict[str, Any] = _converter().unstructure(obj)
    return plain


def _iso(moment: datetime) -> str:
    text = moment.isoformat()
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


def _error(error: Exception) -> dict[str, str]:
    return {"type": type(error).__name__, "message": error_text(error)}


@cache
def _converter() -> cattrs.Converter:
    """Return the converter; it is built at the first call, because that takes milliseconds."""
    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    converter.register_unstructure_hook(datetime, _iso)
    # Free-form JSON is plain data already; a copy protects the contact from changes to the result.
    converter.register_unstructure_hook(
        ContactData,
        make_dict_unstructure_fn(
            ContactData,
            converter,
            variable_values=override(unstruct_hook=dict),
            custom_fields=override(unstruct_hook=dict),
            extra=override(unstruct_hook=dict),
        ),
    )
    # By default cattrs leaves out attributes that `__init__` does not take, such as `consistent`.
    converter.register_unstructure_hook(
        PullReport,
        make_dict_unstructure_fn(PullReport, converter, _cattrs_include_init_false=True),
    )
    converter.register_unstructure_hook(ContactStatus, lambda status: status.value)
    converter.register_unstructure_hook(Exception, _error)
    return converter
