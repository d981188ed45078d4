"""Optional fields: one that cannot be read becomes its default, and its place is kept.

Only the required fields of an item decide whether it can be delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from .fields import Hook, read_object, reason_of

T = TypeVar("T")

Default = Callable[[], object]


class LenientConverter(cattrs.Converter):
    """Converter for which an optional field that cannot be read is no error."""


@attrs.frozen
class Partial(Generic[T]):
    """An object with the default in some of its fields, because these could not be read.

    Attributes:
        value: the object.
        problems: the place of each field, from the object on, and what is wrong with it.
    """

    value: T = attrs.field(repr=False)
    problems: tuple[tuple[str, str], ...]


def defaults_of(cl: type[Any]) -> dict[str, Default]:
    """Return, by the name of each field of the attrs class *cl* that has a default, its default."""
    return {
        field.name: _default_of(field.default)
        for field in attrs.fields(cl)
        if field.default is not attrs.NOTHING
    }


def _default_of(default: Any) -> Default:
    factory: Default | None = getattr(default, "factory", None)
    return (lambda: default) if factory is None else factory


def lenient_hook(
    converter: LenientConverter,
    cl: type[T],
    hooks: Mapping[str, Hook[Any]],
    defaults: Mapping[str, Default],
) -> Hook[T | Partial[T]]:
    """Return a hook that structures an object as *cl*, or as a `Partial` if it needs a default.

    Args:
        converter: reads fields without a hook.
        cl: an attrs class.
        hooks: read the fields that they name.
        defaults: return the defaults of the optional fields.
    """
    read_before = {name: override(struct_hook=_as_it_is) for name in defaults}
    required = {name: override(struct_hook=hooks[name]) for name in hooks.keys() - defaults.keys()}
    by_field = make_dict_structure_fn(
        cl,
        converter,
        _cattrs_detailed_validation=converter.detailed_validation,
        # cattrs types its overrides together with its switches, which are bool.
        **read_before,  # type: ignore[arg-type] # see above
        **required,  # type: ignore[arg-type] # see above
    )
    # The types of the fields are resolved by now.
    optional = [
        (field.name, field.type, hooks.get(field.name, converter.structure), defaults[field.name])
        for field in attrs.fields(cl)  # type: ignore[arg-type] # T is not bound to attrs classes
        if field.name in defaults
    ]

    def hook(value: Any, _type: object) -> T | Partial[T]:
        mapping = {**read_object(value)}
        problems: list[tuple[str, str]] = []
        for name, type_, read, default in optional:
            if name in mapping:
                mapping[name], found = _read(read, mapping[name], type_, default)
                problems += [(f".{name}{place}", reason) for place, reason in found]
        item = by_field(mapping, cl)
        return Partial(item, tuple(problems)) if problems else item

    return hook


def _read(
    read: Hook[Any], value: Any, type_: Any, default: Default
) -> tuple[object, tuple[tuple[str, str], ...]]:
    try:
        done = read(value, type_)
    except Exception as error:  # noqa: BLE001 - cattrs groups what hooks raise, or passes it on
        return default(), (("", reason_of(error)),)
    return (done.value, done.problems) if isinstance(done, Partial) else (done, ())


def _as_it_is(value: Any, _type: object) -> Any:
    return value
