"""A list that moves while it is read, and a pull of it without network, tasks or clock."""

from __future__ import annotations

import random
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from operator import attrgetter
from typing import Literal, NamedTuple

import attrs

from aioburki._page import Page, PageWindow, Pagination
from aioburki._paging.complete_reading import CompleteReading
from aioburki._paging.drift import DriftDetector
from aioburki._paging.frontier import Bounds
from aioburki._paging.order import SortOrder
from aioburki._paging.reading import Proof


class Item(NamedTuple):
    """A contact, as far as a pull knows it."""

    id: int
    created: int | None


_id, _created = attrgetter("id"), attrgetter("created")

ORDERS: tuple[SortOrder[Item], ...] = (
    SortOrder("id", (_id,), is_dense=True),
    SortOrder("-id", (_id,), is_falling=True, is_dense=True),
    SortOrder("created_at,id", (_created, _id)),
    SortOrder("-created_at,-id", (_created, _id), is_falling=True),
    SortOrder("created_at,-id", (_created, _id), is_mixed=True),
    SortOrder("-created_at,id", (_created, _id), is_falling=True, is_mixed=True),
)

# What each kind of list is sorted by.
SORT_KEYS: Mapping[str, Callable[[Item], tuple[int, ...]]] = {
    "id": lambda item: (item.id,),
    "-id": lambda item: (-item.id,),
    "created_at,id": lambda item: (item.created or 0, item.id),
    "-created_at,-id": lambda item: (-(item.created or 0), -item.id),
    "created_at,-id": lambda item: (item.created or 0, -item.id),
    "-created_at,id": lambda item: (-(item.created or 0), item.id),
    # By a key that the items do not show, so that they seem to stand in no order.
    "hidden": lambda item: (hash((item.id, "hidden")) % 9973, item.id),
    # By creation time alone; a statement returns equal ones as it likes.
    "ties": lambda item: (item.created or 0,),
}

PastEnd = Literal["empty", "404", "last page"]


@attrs.define(eq=False, slots=False)
class MovingList:
    """A server of one list; it changes before every page that it returns.

    Attributes:
        length: items at the start.
        order: what it is sorted by, one of `SORT_KEYS`.
        drift: how many items per request do what, such as ``{"leave": 4}``; see `_move`.
        bursts: what happens at once at a request, such as ``{20: ("delete", 3000)}``.
        gaps: whether numbers are missing between the ids.
        shuffled: whether ids do not rise with the time of creation.
        largest: the largest page size that the server allows.
        only: the only page size that it has, whatever is asked for.
        lag: counts are up to so many requests old (rows and count from two statements).
        past_end: what a page behind the end is.
        count_error: how many items more than there are it counts.
        calm_after: it stands still after so many requests.
        always_next: whether every page announces a next one.
        seed: of all that is drawn.
    """

    length: int
    order: str = "id"
    drift: Mapping[str, float] = attrs.Factory(dict)
    bursts: Mapping[int, tuple[str, int]] = attrs.Factory(dict)
    gaps: bool = False
    shuffled: bool = False
    largest: int = 1000
    only: int | None = None
    lag: int = 0
    past_end: PastEnd = "empty"
    count_error: int = 0
    calm_after: int = 10**9
    always_next: bool = False
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.requests = 0
        self.sort_key = SORT_KEYS[self.order]
        self._next_id = 101
        self._next_touched = 0
        self._due: dict[str, float] = {}
        self._lengths: deque[int] = deque(maxlen=max(1, self.lag))
        self._out: list[Item] = []
        items = [self._new() for _ in range(self.length)]
        if "in_out" in self.drift or any(kind == "in_out" for kind, _ in self.bursts.values()):
            out = set(self.draw.sample(range(self.length), self.length // 5))
            self._out = [item for place, item in enumerate(items) if place in out]
            items = [item for place, item in enumerate(items) if place not in out]
        self.gone: set[int] = set()
        self.put(items)

    def put(self, items: Iterable[Item]) -> None:
        """Let the list begin with *items*, sorted."""
        self.items = sorted(items, key=self.sort_key)
        self.first_items = self.items[:]
        self.at_start = {item.id for item in self.items}

    @property
    def lasting(self) -> set[int]:
        """The ids that were in the list all the time."""
        return self.at_start - self.gone

    def page(self, window: PageWindow) -> Page[Item] | None:
        """Let the list move, and return the page at *window*; None for HTTP 404."""
        self.requests += 1
        self._move_all()
        per_page = self.only or min(window.per_page, self.largest)
        true_total = len(self.items)
        total_pages = -(-true_total // per_page)
        number = window.page
        if number > max(1, total_pages):
            if self.past_end == "404":
                return None
            if self.past_end == "last page":
                number = max(1, total_pages)
        items = self._statement()[(number - 1) * per_page : number * per_page]
        total = self._count(true_total, (number - 1) * per_page + len(items))
        pages = -(-total // per_page)
        # The number is what was asked for: another one is refused before it gets here.
        return Page(
            tuple(items),
            Pagination(
                page=window.page,
                per_page=per_page,
                total_items=total,
                total_pages=pages,
                has_next=self.always_next or window.page < pages,
                has_prev=window.page > 1,
            ),
        )

    def _new(self) -> Item:
        number = self._next_id
        self._next_id += self.draw.choice((1, 1, 1, 2, 3, 9)) if self.gaps else 1
        created = number // 7 * 10
        if self.shuffled:
            created = number // 7 * 10 + self.draw.randrange(2000)
        if self.order == "ties":
            created = number // 500
        return Item(number, created)

    def _statement(self) -> list[Item]:
        if self.order != "ties":
            return self.items
        mixed = self.items[:]
        self.draw.shuffle(mixed)
        return sorted(mixed, key=self.sort_key)

    def _count(self, total: int, end: int) -> int:
        self._lengths.append(total)
        stale = self.draw.choice(self._lengths) if self.lag else total
        stated = max(0, stale + self.count_error)
        # A5: a full last page is believed if rows and count agree; so here they do.
        return total if stated == end else stated

    def _move_all(self) -> None:
        if self.requests > self.calm_after:
            return
        for kind, rate in self.drift.items():
            due = self._due.get(kind, 0.0) + rate
            self._due[kind] = due - int(due)
            for _ in range(int(due)):
                self._move(kind)
        if self.requests in self.bursts:
            kind, number = self.bursts[self.requests]
            self._burst(kind, number)

    def _move(self, kind: str) -> None:
        items, draw = self.items, self.draw
        match kind:
            case "leave":  # a status filter that drains from the front
                self._remove(draw.randrange(min(1000, len(items)))) if items else None
            case "delete":
                self._remove(draw.randrange(len(items))) if items else None
            case "swap":  # one out, one in: the count stays
                if items:
                    self._remove(draw.randrange(min(200, len(items))))
                    insort(items, self._new(), key=self.sort_key)
            case "in_out":
                self._in_or_out()
            case "add":  # the highest id: at the end of a rising list, at the head of a falling one
                insort(items, self._new(), key=self.sort_key)
            case "to_head" | "to_tail":
                place = 0 if kind == "to_head" else len(items)
                items.insert(place, items.pop(draw.randrange(len(items)))) if items else None
            case "dial_to_head" | "dial_to_tail":  # in the order of ids
                self._dial(0 if kind == "dial_to_head" else len(items))
            case _:
                raise ValueError(kind)

    def _burst(self, kind: str, number: int) -> None:
        items, draw = self.items, self.draw
        if kind == "delete":
            start = draw.randrange(max(1, len(items) // 2))
            self.gone.update(item.id for item in items[start : start + number])
            del items[start : start + number]
        elif kind == "head_delete":
            self.gone.update(item.id for item in items[:number])
            del items[:number]
        elif kind in ("block_to_head", "block_to_tail"):  # touched by one statement
            # Where fewer items lie between the block and its new place, they are what has moved.
            first = number if kind == "block_to_head" else 0
            start = first + draw.randrange(max(1, len(items) - 2 * number + 1))
            self._touch(items[start : start + number], kind)
        elif kind in ("sample_to_head", "sample_to_tail"):
            chosen = draw.sample(range(len(items)), min(number, len(items)))
            self._touch([items[place] for place in sorted(chosen)], kind)
        else:
            for _ in range(number):
                self._move(kind)

    def _touch(self, moved: list[Item], kind: str) -> None:
        ids = {item.id for item in moved}
        rest = [item for item in self.items if item.id not in ids]
        self.items[:] = moved + rest if kind.endswith("head") else rest + moved

    def _remove(self, place: int) -> Item:
        item = self.items.pop(place)
        self.gone.add(item.id)
        return item

    def _in_or_out(self) -> None:
        if self.items and self.draw.random() < 0.5:
            self._out.append(self._remove(self.draw.randrange(len(self.items))))
        elif self._out:
            place = self.draw.randrange(len(self._out))
            self._out[place], self._out[-1] = self._out[-1], self._out[place]
            insort(self.items, self._out.pop(), key=self.sort_key)

    def _dial(self, place: int) -> None:
        if not self.items:
            return
        known = sorted(self.items)
        item = known[self._next_touched % len(known)]
        self._next_touched += 1
        self.items.remove(item)
        self.items.insert(place, item)


@attrs.define
class Outcome:
    """What a pull has delivered, and what it claims."""

    delivered: list[int]
    last: Item | None
    lasting: set[int]
    before_the_last: set[int]
    requests: int
    probes: int
    proof: Proof
    missing: int
    duplicates: int
    drift: tuple[str, ...]
    max_held: int
    is_ordered: bool
    is_finished: bool
    windows: list[PageWindow]
    reading: CompleteReading[Item]

    @property
    def is_complete(self) -> bool:
        """Whether it claims that nothing is missing."""
        return self.proof in ("single page", "coverage")

    @property
    def lost(self) -> set[int]:
        """The ids that were in the list all the time and were not delivered."""
        return self.lasting - set(self.delivered)

    def rest(self, bounds: Bounds | None) -> tuple[Bounds, SortOrder[Item]] | None:
        """Return what is behind the last item delivered; None if nothing is, or it is unknown."""
        order = self.reading.order
        if order is None or self.last is None or self.reading.is_finished:
            return None
        key = self.reading.key_behind(self.last)
        whole = Bounds() if bounds is None else bounds
        return attrs.evolve(whole, after=key, offset=max(0, self.reading.offset)), order

    @property
    def doubled(self) -> int:
        """How many items came more than once."""
        return len(self.delivered) - len(set(self.delivered))


@attrs.define
class _Request:
    window: PageWindow
    due: float
    page: Page[Item] | None = None
    is_served: bool = False
    is_done: bool = False


class _Wire:
    """Requests in flight, which the server answers in any order or after a time that varies."""

    def __init__(self, server: MovingList, draw: random.Random, *, is_wild: bool) -> None:
        self._server = server
        self._draw = draw
        self._is_wild = is_wild
        self._now = 0.0
        self._in_flight: list[_Request] = []

    def __len__(self) -> int:
        return len(self._in_flight)

    def send(self, window: PageWindow) -> _Request:
        request = _Request(window, self._now + self._draw.uniform(0.5, 1.5))
        self._in_flight.append(request)
        return request

    def advance(self) -> None:
        """Let one request be read by the server, or its answer arrive."""
        if self._is_wild:
            request = self._draw.choice(self._in_flight)
        else:
            request = min(self._in_flight, key=lambda each: each.due)
            self._now = request.due
        if not request.is_served:
            request.page = self._server.page(request.window)
            request.is_served = True
            if self._is_wild:
                return
        request.is_done = True
        self._in_flight.remove(request)


def pull(
    server: MovingList,
    per_page: int = 1000,
    *,
    limit: int | None = None,
    bounds: Bounds | None = None,
    orders: tuple[SortOrder[Item], ...] = ORDERS,
    concurrency: int = 8,
    is_wild: bool = False,
    seed: int = 0,
    max_requests: int = 100_000,
) -> Outcome:
    """Read *server* as `Pull` and `Prefetch` do, and return what came of it.

    Args:
        server: the list.
        per_page: maximum page size.
        limit: maximum number of items.
        bounds: the part of the list to read.
        orders: the orders that it may have.
        concurrency: requests in flight.
        is_wild: whether answers come in any order; else each takes 0.5 to 1.5 of the same time.
        seed: of the times and orders of answers.
        max_requests: after so many the pull is taken for endless.
    """
    drift = DriftDetector("item")
    reading = CompleteReading(orders, _id, per_page, limit=limit, drift=drift, bounds=bounds)
    wire = _Wire(server, random.Random(seed), is_wild=is_wild)
    queue: deque[_Request] = deque()
    delivered: list[Item] = []
    windows: list[PageWindow] = []
    max_held = 0

    def send(window: PageWindow) -> _Request:
        windows.append(window)
        assert len(windows) <= max_requests, "the pull does not end"
        return wire.send(window)

    def top_up() -> None:
        while len(queue) < 4 * concurrency and len(wire) < concurrency:
            window = reading.next_window()
            if window is None:
                return
            queue.append(send(window))

    while not reading.is_done:
        top_up()
        if not queue:
            break
        while not queue[0].is_done:
            wire.advance()
            top_up()
        head = queue.popleft()
        delivered += [
            item for page in reading.record(head.window, head.page) for item in page.items
        ]
        max_held = max(max_held, len(queue) + len(reading._coverage.joiner._held))
        if (urgent := reading.urgent_window()) is not None:
            queue.appendleft(send(urgent))
    if reading.reached_end:
        drift.record_end()
    ids = [item.id for item in delivered]
    keys = [server.sort_key(item) for item in delivered]
    return Outcome(
        delivered=ids,
        last=delivered[-1] if delivered else None,
        lasting=server.lasting,
        before_the_last={
            item.id for item in server.first_items if keys and server.sort_key(item) < keys[-1]
        },
        requests=len(windows),
        probes=reading.probes,
        proof=reading.proof,
        missing=reading.missing,
        duplicates=reading.duplicates,
        drift=drift.sentences(reading.duplicates),
        max_held=max_held,
        is_ordered=all(one < other for one, other in pairwise(keys)),
        is_finished=reading.is_finished,
        windows=windows,
        reading=reading,
    )
