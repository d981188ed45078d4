"""Campaign: the made-up contacts of the sandbox, in lists that can change."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import neg
from typing import Any, Literal, get_args

from .._errors import ConfigurationError
from .._validation import shown
from ._contact import FIRST_ID, STATUSES, first_id_of, import_of, made_up_contact

Order = Literal["id", "-id", "touched", "ties"]

_WEIGHTS = (30, 2, 38, 8, 4, 10, 4, 4)
_STEPS = (1, 1, 1, 2, 3, 9)  # from an id to the next, where ids have gaps
_ABSENT = 255


def known_order(order: str) -> Order:
    """Return *order* if it is one that a campaign can have, or raise `ConfigurationError`."""
    for known in get_args(Order):
        if order == known:
            return known  # type: ignore[no-any-return] # get_args does not say of what type
    given = repr(order[:40]) if isinstance(order, str) else shown(order)
    raise ConfigurationError(f"order must be one of {', '.join(get_args(Order))}, not {given}")


class Campaign:
    """The contacts of one campaign; the same seed gives the same contacts.

    There is a list of all contacts, and one for each status that has been requested. They are
    kept sorted, so that a request or a change does not go through all contacts.
    """

    def __init__(self, seed: int, order: Order = "id", *, id_gaps: bool = False) -> None:
        self._seed = seed
        self._order = order
        self._draw_status = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._draw_step = random.Random(f"{seed} gaps") if id_gaps else None  # noqa: S311
        self._next_id = FIRST_ID
        self._statuses = bytearray()  # by id, from FIRST_ID
        self._lists: dict[int | None, array[int]] = {None: array("q")}
        self._changes = 0
        self._changed: dict[int, int] = {}  # the last change of each contact that has changed
        self._more_attempts: dict[int, int] = {}
        self._reads = 0
        self._place_key: Callable[[int], Any] | None = None  # by id
        if order == "-id":
            self._place_key = neg
        elif order == "touched":
            self._place_key = self._touched_key

    def __len__(self) -> int:
        return len(self._lists[None])

    @property
    def is_newest_first(self) -> bool:
        """Whether new contacts come at the head of the list."""
        return self._order in ("-id", "touched")

    def ids(self, status: str | None = None) -> Sequence[int]:
        """Return the ids of all contacts, or of those of a status, in the order of the list."""
        code = None if status is None else STATUSES.index(status)
        if code not in self._lists:
            found = (each for each in self._lists[None] if self._code(each) == code)
            self._lists[code] = array("q", found)
        return self._lists[code]

    def status(self, contact_id: int) -> str:
        """Return the status of a contact.

        Raises:
            KeyError: there is no such contact.
        """
        return STATUSES[self._code(contact_id)]

    def add(self, count: int) -> None:
        """Add *count* contacts with the highest ids: where newest come first, at the head."""
        ids = self._new_ids(count)
        codes = self._draw_status.choices(range(len(STATUSES)), _WEIGHTS, k=count)
        self._statuses.extend([_ABSENT] * (self._next_id - FIRST_ID - len(self._statuses)))
        for contact_id, code in zip(ids, codes, strict=True):
            self._statuses[contact_id - FIRST_ID] = code
        if self._order == "touched" and self._changes:
            self._changes += 1
            self._changed.update(dict.fromkeys(ids, self._changes))
        for wanted, listed in self._lists.items():
            new = [each for each, code in zip(ids, codes, strict=True) if wanted in (None, code)]
            if self.is_newest_first:
                listed[:0] = array("q", reversed(new))
            else:
                listed.extend(new)

    def remove(self, contact_id: int) -> None:
        """Remove a contact; all later contacts move up.

        Raises:
            KeyError: there is no such contact.
        """
        self._take_out(contact_id, None, self._code(contact_id))
        self._statuses[contact_id - FIRST_ID] = _ABSENT

    def restore(self, contact_id: int, status: str) -> None:
        """Put a contact back that was removed, to where it was in the order."""
        code = STATUSES.index(status)
        self._statuses[contact_id - FIRST_ID] = code
        self._put_in(contact_id, None, code)

    def set_status(self, contact_id: int, status: str) -> None:
        """Set a contact's status.

        Raises:
            KeyError: there is no such contact.
        """
        old, new = self._code(contact_id), STATUSES.index(status)
        self._take_out(contact_id, old, *self._lists_that_sort_by_change())
        self._note_change(contact_id)
        self._statuses[contact_id - FIRST_ID] = new
        self._put_in(contact_id, new, *self._lists_that_sort_by_change())

    def touch(self, contact_id: int) -> None:
        """Record one more attempt to reach a contact; its status stays.

        Raises:
            KeyError: there is no such contact.
        """
        moved = self._lists_that_sort_by_change()
        code = self._code(contact_id)
        lists = (code, *moved) if moved else ()
        self._take_out(contact_id, *lists)
        self._note_change(contact_id)
        self._more_attempts[contact_id] = self._more_attempts.get(contact_id, 0) + 1
        self._put_in(contact_id, *lists)

    def page(self, page: int, per_page: int, status: str | None) -> dict[str, Any]:
        """Return a page in the form that the API documents; one past the end has no contacts."""
        listed = self.ids(status)
        first = (page - 1) * per_page
        total_pages = -(-len(listed) // per_page)
        ids = listed[first : first + per_page]
        if self._order == "ties" and ids:
            ids = self._with_ties_reordered(listed, first, len(ids))
        return {
            "contacts": [self._contact(each) for each in ids],
            "pagination": {
                "page": page,
                "per_page": per_page,
                "total_items": len(listed),
                "total_pages": total_pages,
                "has_next": page < total_pages,
                "has_prev": page > 1,
            },
        }

    def _new_ids(self, count: int) -> Sequence[int]:
        if self._draw_step is None:
            ids: Sequence[int] = range(self._next_id, self._next_id + count)
            self._next_id += count
            return ids
        ids = []
        for step in self._draw_step.choices(_STEPS, k=count):
            ids.append(self._next_id)
            self._next_id += step
        return ids

    def _code(self, contact_id: int) -> int:
        place = contact_id - FIRST_ID
        code = self._statuses[place] if 0 <= place < len(self._statuses) else _ABSENT
        if code == _ABSENT:
            raise KeyError(contact_id)
        return code

    def _touched_key(self, contact_id: int) -> tuple[int, int]:
        return -self._changed.get(contact_id, 0), -contact_id

    def _note_change(self, contact_id: int) -> None:
        self._changes += 1
        self._changed[contact_id] = self._changes

    def _lists_that_sort_by_change(self) -> tuple[None, ...]:
        return (None,) if self._order == "touched" else ()

    def _take_out(self, contact_id: int, *lists: int | None) -> None:
        for listed in (self._lists[each] for each in lists if each in self._lists):
            del listed[self._place(listed, contact_id)]

    def _put_in(self, contact_id: int, *lists: int | None) -> None:
        for listed in (self._lists[each] for each in lists if each in self._lists):
            listed.insert(self._place(listed, contact_id), contact_id)

    def _place(self, listed: Sequence[int], contact_id: int) -> int:
        key = self._place_key
        wanted = contact_id if key is None else key(contact_id)
        return bisect_left(listed, wanted, key=key)

    def _with_ties_reordered(self, listed: Sequence[int], first: int, count: int) -> list[int]:
        """Return a part of a list in which the contacts of each import are in a new order."""
        self._reads += 1
        draw = random.Random(f"{self._seed} {self._reads}").random  # noqa: S311
        start = bisect_left(listed, first_id_of(import_of(listed[first])))
        end = bisect_left(listed, first_id_of(import_of(listed[first + count - 1]) + 1))
        ids = sorted(listed[start:end], key=lambda each: (import_of(each), draw()))
        return ids[first - start : first - start + count]

    def _contact(self, contact_id: int) -> dict[str, Any]:
        return made_up_contact(
            contact_id,
            self._seed,
            self.status(contact_id),
            self._changed.get(contact_id, 0),
            self._more_attempts.get(contact_id, 0),
        )
