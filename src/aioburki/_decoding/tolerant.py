"""Tolerant reader: convert parsed JSON to a `Page`, or to a list of problems.

Tolerant where the API documents nothing (new fields, null or absent data, timestamps without a
zone; optional fields that cannot be read), strict where a guess could lose an item: the required
fields of an item and the numbers of ``pagination``. Private converters share the hooks: a
quick one for pages without problems, a lenient one that gives optional fields their default, and
detailed ones that name the places of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from types import GenericAlias
from typing import Any, Generic, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from .._page import Page, Pagination, UnreadField
from .fields import (
    Hook,
    MisfitError,
    expected,
    read_bool,
    read_datetime,
    read_integer,
    read_object,
    read_page_number,
    read_text,
    read_total_items,
    read_total_pages,
)
from .json_checks import Undecodable
from .optional import Default, LenientConverter, Partial, defaults_of, lenient_hook
from .problems import MAX_PROBLEMS, first, problems_of

MAX_ROWS = 10_000  # ten times what the API allows
ROWS_PER_STEP = 100

T = TypeVar("T")
ItemHook = Callable[[cattrs.Converter], Hook[T]]


@attrs.frozen
class _Items:
    """The items of a page: a type of its own, so that a converter can have a hook for it."""

    values: tuple[Any, ...] = attrs.field(repr=False)


class TolerantReader(Generic[T]):
    """Read parsed JSON whose envelope is ``{items_key: […], "pagination": {…}}``.

    Args:
        items_key: the key of the list of items.
        item: the attrs class of one item. Texts, whole numbers, booleans and datetimes are read
            as `fields` says; fields without a default are required.
        hook: returns the structure hook for *item*, if its fields need more than their types say.
    """

    def __init__(self, items_key: str, item: type[T], hook: ItemHook[T] | None = None) -> None:
        self.items_key = items_key
        self._item = item
        self._hook = hook

    def read(self, content: Any) -> Page[T] | tuple[str, ...]:
        """Return the page that *content* holds, or its problems, each with its place."""
        done = next(done for done in self.steps(content) if done is not None)
        return done.problems if isinstance(done, Undecodable) else done

    def steps(self, content: Any) -> Iterator[Page[T] | Undecodable | None]:
        """Yield None between two steps of reading, and at last the page or its problems.

        The caller stops at the first result.
        """
        if (page := self._read(self._quick, content)) is not None:
            yield page
        items: list[T] = []
        unread: list[UnreadField] = []
        envelope = self._read(self._quick, self._without_items(content))
        values: list[Any] = [] if envelope is None else content[self.items_key]
        if envelope is not None:
            for start in range(0, len(values), ROWS_PER_STEP):
                if start > 0:
                    yield None
                try:
                    for value in values[start : start + ROWS_PER_STEP]:
                        self._settle(self._lenient.structure(value, self._item), items, unread)
                except Exception:  # noqa: BLE001 - `_problems` finds the problem and its place
                    break
            if len(items) == len(values):
                yield Page(tuple(items), envelope.pagination, tuple(unread))
        yield self._undecodable_or_page(content)

    def _settle(self, item: Any, items: list[T], unread: list[UnreadField]) -> None:
        """Append *item* to *items*, and its fields that have their default to *unread*."""
        if isinstance(item, Partial):
            index = len(items)
            place = f"{self.items_key}[{index}]"
            unread += [UnreadField(index, place + name, reason) for name, reason in item.problems]
            item = item.value
        items.append(item)

    def _without_items(self, content: Any) -> Any:
        """Return *content* with an empty list of items, if it has a list of allowed length."""
        items = content.get(self.items_key) if type(content) is dict else None
        if type(items) is list and len(items) <= MAX_ROWS:
            return {**content, self.items_key: []}
        return content

    def _undecodable_or_page(self, content: Any) -> Page[T] | Undecodable:
        required = first(self._problems(content, self._lenient, self._lenient_detailed))
        if required:
            problems = first(self._problems(content, self._quick, self._detailed))
            # Beside many problems of optional fields those of required ones might not be named.
            problems = required if len(problems) > MAX_PROBLEMS else problems
            return Undecodable(problems, broken=False, cause=required[0])
        page = self._page(self._lenient_detailed, content)  # the detailed converter decides
        items: list[T] = []
        unread: list[UnreadField] = []
        for item in page.items:
            self._settle(item, items, unread)
        return Page(tuple(items), page.pagination, tuple(unread))

    def read_pagination(self, envelope: dict[str, Any]) -> Pagination:
        """Return the pagination of a parsed envelope.

        Raises:
            MisfitError: it holds none that can be trusted.
        """
        page = self._read(self._quick, {**envelope, self.items_key: []})
        if page is None:
            raise MisfitError("no credible pagination")
        return page.pagination

    @cached_property
    def _quick(self) -> cattrs.Converter:
        return self._with_hooks(cattrs.Converter(detailed_validation=False))

    @cached_property
    def _lenient(self) -> cattrs.Converter:
        return self._with_hooks(LenientConverter(detailed_validation=False))

    @cached_property
    def _detailed(self) -> cattrs.Converter:
        return self._with_hooks(cattrs.Converter(detailed_validation=True))

    @cached_property
    def _lenient_detailed(self) -> cattrs.Converter:
        return self._with_hooks(LenientConverter(detailed_validation=True))

    def _read(self, converter: cattrs.Converter, content: Any) -> Page[T] | None:
        try:
            return self._page(converter, content)
        except Exception:  # noqa: BLE001 - cattrs groups what hooks raise, or passes it on
            return None

    def _page(self, converter: cattrs.Converter, content: Any) -> Page[T]:
        page: Page[T] = converter.structure(content, Page)
        return page

    def _problems(
        self, content: Any, quick: cattrs.Converter, detailed: cattrs.Converter
    ) -> Iterator[str]:
        """Yield the problems that *detailed* names where *quick* fails, each with its place.

        Items are checked one by one: cattrs would collect the errors of all of them, which takes
        minutes for a page that is made to have many.
        """
        envelope = self._without_items(content)
        if envelope is not content:
            for index, item in enumerate(content[self.items_key]):
                yield from problems_of(
                    quick, detailed, item, self._item, f"{self.items_key}[{index}]"
                )
        yield from problems_of(quick, detailed, envelope, Page, "$")

    def _with_hooks(self, converter: cattrs.Converter) -> cattrs.Converter:
        converter.register_structure_hook(int, read_integer)
        converter.register_structure_hook(str, read_text)
        converter.register_structure_hook(bool, read_bool)
        converter.register_structure_hook(datetime, read_datetime)
        item = self._item
        hook = fields_hook(converter, item) if self._hook is None else self._hook(converter)
        converter.register_structure_hook(item, hook)
        converter.register_structure_hook(Pagination, _pagination_hook(converter))
        converter.register_structure_hook(_Items, self._items_hook(converter))
        converter.register_structure_hook(Page, self._page_hook(converter))
        return converter

    def _items_hook(self, converter: cattrs.Converter) -> Hook[_Items]:
        items: Any = GenericAlias(tuple, (self._item, ...))

        def hook(value: Any, _type: object) -> _Items:
            if type(value) is not list:
                raise expected("a list", value)
            if len(value) > MAX_ROWS:
                raise MisfitError(f"more than {MAX_ROWS:,} on one page cannot be right")
            return _Items(converter.structure(value, items))

        return hook

    def _page_hook(self, converter: cattrs.Converter) -> Hook[Page[T]]:
        # The class is made here, so that cattrs compiles it with the key that this list has.
        envelope = attrs.make_class(
            "Envelope",
            {
                self.items_key: attrs.field(type=_Items, repr=False),
                "pagination": attrs.field(type=Pagination),
            },
            frozen=True,
        )
        by_field: Hook[Any] = fields_hook(converter, envelope)

        def hook(value: Any, _type: object) -> Page[T]:
            read = by_field(read_object(value), envelope)
            return Page(getattr(read, self.items_key).values, read.pagination)

        return hook


def fields_hook(
    converter: cattrs.Converter,
    cl: type[T],
    defaults: Mapping[str, Default] | None = None,
    **hooks: Hook[Any],
) -> Hook[Any]:
    """Return the hook that structures an object as *cl*, with *hooks* for the fields they name.

    In a `LenientConverter` fields that have a default are optional, and so are those of *defaults*:
    the hook returns a `Partial` if one of them cannot be read.
    """
    if isinstance(converter, LenientConverter):
        return lenient_hook(converter, cl, hooks, {**defaults_of(cl), **(defaults or {})})
    overrides = {name: override(struct_hook=hook) for name, hook in hooks.items()}
    by_field = make_dict_structure_fn(
        cl,
        converter,
        _cattrs_detailed_validation=converter.detailed_validation,
        # cattrs types its overrides together with its switches, which are bool.
        **overrides,  # type: ignore[arg-type] # see above
    )
    return lambda value, cl: by_field(read_object(value), cl)


def _pagination_hook(converter: cattrs.Converter) -> Hook[Pagination]:
    by_field = fields_hook(
        converter,
        Pagination,
        page=read_page_number,
        per_page=read_page_number,
        total_items=read_total_items,
        total_pages=read_total_pages,
        has_next=read_bool,
        has_prev=read_bool,
    )
    return lambda value, cl: by_field(_with_neighbours(read_object(value)), cl)


def _with_neighbours(pagination: dict[str, Any]) -> dict[str, Any]:
    """Return *pagination* with what the page numbers imply where has_next or has_prev is absent."""
    if pagination.get("has_next") is not None and pagination.get("has_prev") is not None:
        return pagination
    page, total = pagination.get("page"), pagination.get("total_pages")
    if not (isinstance(page, int) and isinstance(total, int)):
        return {"has_next": False, "has_prev": False, **pagination}
    implied = {"has_next": page < total, "has_prev": page > 1}
    return {**pagination, **{k: v for k, v in implied.items() if pagination.get(k) is None}}
