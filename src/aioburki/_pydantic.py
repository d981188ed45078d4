"""Pydantic: the schemas by which pydantic, and FastAPI with it, reads and writes data objects.

pydantic calls ``__get_pydantic_core_schema__`` of a class that it finds in a model, a response or a
`TypeAdapter`. Nothing here imports pydantic before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_type_hints

import attrs

from ._surrogates import replace_surrogates


def data_schema(cls: type[Any], handler: Any, types: Mapping[str, Any] | None = None) -> Any:
    """Return the core schema of a data class: an instance, or an object with its attributes.

    Args:
        cls: an attrs class.
        handler: pydantic's handler, which returns the schemas of the attributes.
        types: the types of attributes for which the class does not say them at run time.
    """
    from pydantic_core import core_schema  # noqa: PLC0415 - pydantic is not required

    hints = get_type_hints(cls) | dict(types or {})
    fields = attrs.fields(cls)

    def object_schema(required: Callable[[Any], bool], of: list[Any]) -> Any:
        schemas = {
            field.name: core_schema.typed_dict_field(
                handler.generate_schema(hints[field.name]), required=required(field)
            )
            for field in of
        }
        return core_schema.typed_dict_schema(schemas, cls_name=cls.__name__)

    read = core_schema.no_info_after_validator_function(
        lambda values: cls(**{name: _aware(value) for name, value in values.items()}),
        object_schema(lambda field: field.default is attrs.NOTHING, [f for f in fields if f.init]),
    )
    return core_schema.json_or_python_schema(
        json_schema=read,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), read]),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value, info: {
                field.name: _in_mode(info, getattr(value, field.name)) for field in fields
            },
            info_arg=True,
            return_schema=object_schema(lambda _: True, list(fields)),
        ),
        ref=_reference(cls),
    )


def status_schema(cls: type[Any]) -> Any:
    """Return the core schema of an enum of texts that keeps texts which it does not know."""
    from pydantic_core import core_schema  # noqa: PLC0415 - pydantic is not required

    read = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
    return core_schema.json_or_python_schema(
        json_schema=read,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), read]),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value, info: _in_mode(info, value.value),
            info_arg=True,
            return_schema=core_schema.str_schema(),
        ),
        ref=_reference(cls),
    )


def list_schema(cls: type[Any], item: type[Any], handler: Any) -> Any:
    """Return the core schema of *cls*, a class of lists of *item*; what else it has is left out."""
    from pydantic_core import core_schema  # noqa: PLC0415 - pydantic is not required

    items = core_schema.list_schema(handler.generate_schema(item))
    return core_schema.no_info_after_validator_function(cls, items)


def _in_mode(info: Any, value: Any) -> Any:
    return _encodable(value) if info.mode == "json" else value


def _encodable(value: Any) -> Any:
    """Return *value* with U+FFFD for lone surrogates, which pydantic refuses to write as JSON."""
    if type(value) is str:  # not a `ContactStatus`, which has a schema of its own
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_encodable, value))
    return value


def _reference(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"


def _aware(value: Any) -> Any:
    is_naive = isinstance(value, datetime) and value.tzinfo is None
    return value.replace(tzinfo=UTC) if is_naive else value
