"""Serialize: data objects to plain data, ready for `json.dumps`."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from ._models import ContactData, ContactStatus
from ._report import PullReport


def to_dict(obj: Any) -> dict[str, Any]:
    """Return *obj* as plain data that `json.dumps` accepts.

    *obj* is a data object of this package: a `Contact`, `ContactData`, `Pagination`, `ContactPage`,
    `PullReport` or an event. The keys are its attribute names. Datetimes become ISO 8601 text, with
    ``Z`` for UTC. Unlike `repr` it shows all data of a contact, phone number included.

    Raises:
        TypeError: *obj* is something else.
    """
    kind: type[Any] = type(obj)
    if isinstance(obj, type) or not attrs.has(kind):
        raise TypeError(f"to_dict takes a data object of aioburki, not {kind.__name__}")
    plain: dict[str, Any] = _converter().unstructure(obj)
    return plain


def _iso(moment: datetime) -> str:
    text = moment.isoformat()
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


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
    return converter
