"""Histories: pulls of lists that move in drawn ways; a claim of completeness must be true.

    python tests/histories.py [--histories N] [--seed N] [--only NUMBER]

Each history is one list, with its order, drift, page sizes and counts, and one pull of it, whose
answers come in any order. The exit code is 1 if a pull claims to be complete and has lost or
doubled an item, does not end, or loses an item of a list that stood still.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import attrs
from moving_list import ORDERS, Item, MovingList, Outcome, pull

from aioburki._paging.frontier import Bounds
from aioburki._paging.order import SortOrder

STABLE = (
    "id", "-id", "created_at,id", "-created_at,-id", "created_at,-id", "-created_at,id",
)  # fmt: skip
Kind = Literal["still", "within", "outside"]
"""Whether the list stands still, moves within the assumptions, or is in no order that stays."""

KINDS: tuple[Kind, ...] = ("still", "within", "outside")
KEPT_KEYS = ("leave", "delete", "swap", "in_out", "add")
MOVED_KEYS = ("to_head", "to_tail", "dial_to_head", "dial_to_tail")
KEPT_BURSTS = ("delete", "head_delete", "add", "in_out", "swap")
MOVED_BURSTS = ("block_to_head", "block_to_tail", "sample_to_head", "sample_to_tail")


@attrs.frozen
class History:
    """A list, how it moves, and a pull of it.

    Attributes:
        server: the arguments of `MovingList`.
        pull: the arguments of `pull`.
        keeps_keys: whether the list is within the assumptions: its order is total, and no item
            changes its place among the others.
        stops: numbers of items after which the pull is given up, and gone on with as a range.
        parts: number of ranges into which the list is split before it is read.
    """

    server: dict[str, Any]
    pull: dict[str, Any]
    keeps_keys: bool
    stops: tuple[int, ...] = ()
    parts: int = 1

    def run(self) -> list[Outcome]:
        """Read the list once, in as many pulls as it takes.

        Raises:
            AssertionError: a pull does not end.
        """
        server = MovingList(**self.server)
        bounds = split(server, self.parts) if self.parts > 1 else [None]
        outcomes = [outcome for each in bounds for outcome in self._read(server, each)]
        for outcome in outcomes:  # they are judged by the list as it is at the end
            outcome.lasting &= server.lasting
        return outcomes

    def _read(self, server: MovingList, bounds: Bounds | None) -> Iterator[Outcome]:
        most = 60 * (2 + self.server["length"] // max(1, self.pull["per_page"] // 4)) + 400
        how = self.pull | {"max_requests": most}
        orders = ORDERS if bounds is None else order_named(server.order)
        for stop in self.stops:
            outcome = pull(server, **how | {"limit": stop}, bounds=bounds, orders=orders)
            yield outcome
            rest = outcome.rest(bounds)
            if rest is None:
                return
            bounds, order = rest
            orders = (order,)
        yield pull(server, **how, bounds=bounds, orders=orders)

    @property
    def stands_still(self) -> bool:
        """Whether nothing changes in the list."""
        return not self.server["drift"] and not self.server["bursts"]


def order_named(name: str) -> tuple[SortOrder[Item], ...]:
    """Return the order with this name, if there is one."""
    return tuple(order for order in ORDERS if order.name == name)


def split(server: MovingList, parts: int) -> list[Bounds | None]:
    """Return bounds that divide the list into *parts*, as they are now."""
    [order] = order_named(server.order)
    length = len(server.items)
    places = sorted({length * part // parts for part in range(1, parts)} - {0})
    keys = order.keys([server.items[place - 1] for place in places]) or []
    ends = list(zip([None, *keys], [0, *places], strict=True))
    return [
        Bounds(after, until, offset, end)
        for (after, offset), (until, end) in zip(ends, [*ends[1:], (None, 0)], strict=True)
    ]


def drawn(draw: random.Random, kind: Kind | None = None) -> History:
    """Return a history, of any kind by default; most are of short lists that move fast."""
    if kind is None:
        kind = draw.choices(KINDS, (12, 60, 28))[0]
    per_page = draw.choice((1, 2, 3, 4, 5, 8, 12, 20, 30, 60))
    pages = draw.choice((1, 2, 3, 4, 6, 9, 14, 25))
    length = max(0, per_page * pages + draw.randrange(-per_page, per_page + 1))
    # A page of a few items may stand by chance in another order than its list.
    shows_order = per_page >= 8
    server: dict[str, Any] = {
        "length": length,
        "order": draw.choice(STABLE if shows_order else STABLE[:4]),
        "drift": {},
        "bursts": {},
        "gaps": draw.random() < 0.6,
        "shuffled": shows_order and draw.random() < 0.3,
        "lag": draw.choice((0, 0, 0, 1, 2, 5)),
        "past_end": draw.choice(("empty", "empty", "404", "last page")),
        "calm_after": draw.choice((1, 1, 2, 3)) * (pages + 5),
        "seed": draw.randrange(10**6),
    }
    how: dict[str, Any] = {
        "per_page": per_page,
        "concurrency": draw.choice((1, 2, 4, 8)),
        "is_wild": draw.random() < 0.7,
        "seed": draw.randrange(10**6),
    }
    if draw.random() < 0.15:
        how["limit"] = draw.randrange(0, length + 5)
    _draw_server(draw, server, per_page)
    if kind != "outside":
        if kind == "within":
            _draw_drift(draw, server, KEPT_KEYS, KEPT_BURSTS)
        parts, stops = 1, list[int]()
        if "limit" not in how and draw.random() < 0.25:
            stops = [draw.randrange(1, length + 2) for _ in range(draw.choice((1, 1, 2, 4)))]
        if "limit" not in how and draw.random() < 0.1 and length > 1:
            parts = draw.randrange(2, 6)
        return History(server, how, True, tuple(stops), parts)
    # Outside of the assumptions a page of two items may stand in order by chance.
    server["length"], how["per_page"] = 5 * length + 40, max(12, per_page)
    how.pop("limit", None)  # what moves to the tail is behind the last item delivered
    if draw.random() < 0.3:
        server["order"] = draw.choice(("ties", "hidden"))
    else:
        _draw_drift(draw, server, MOVED_KEYS, MOVED_BURSTS)
        # Where more than half of a list moves at once, it is the rest that seems to have moved.
        for request, (name, number) in server["bursts"].items():
            server["bursts"][request] = (name, min(number, server["length"] // 3))
        if not server["bursts"] and draw.random() < 0.3:
            server["drift"]["delete"] = draw.choice((0.2, 1))
    return History(server, how, keeps_keys=False)


def _draw_server(draw: random.Random, server: dict[str, Any], per_page: int) -> None:
    chance = draw.random()
    if chance < 0.08:
        server["largest"] = max(1, per_page // draw.choice((1, 2, 3)))
    elif chance < 0.12:
        server["only"] = max(1, per_page + draw.choice((-3, -1, 0, 1, 4)))
    elif chance < 0.15:
        server["count_error"] = draw.choice((-7, -1, 1, 3, 50))
    elif chance < 0.17:
        server["always_next"] = True


def _draw_drift(
    draw: random.Random, server: dict[str, Any], kinds: Sequence[str], bursts: Sequence[str]
) -> None:
    for kind in draw.sample(kinds, draw.choice((0, 1, 1, 1, 2))):
        server["drift"][kind] = draw.choice((0.1, 0.3, 1, 1, 2, 5))
    if draw.random() < 0.4 or not server["drift"]:
        number = draw.choice((1, 2, 5, 10, 20, 60, 100))
        server["bursts"][draw.randrange(2, 12)] = (draw.choice(bursts), number)


def fault_of(history: History) -> str | None:
    """Run *history*; return what is wrong with what it claims, or None."""
    try:
        outcomes = history.run()
    except AssertionError as error:
        return str(error)
    delivered = [number for outcome in outcomes for number in outcome.delivered]
    if len(delivered) != len(set(delivered)):
        return f"{len(delivered) - len(set(delivered))} items came twice"
    lost = outcomes[-1].lasting - set(delivered)
    if not outcomes[-1].is_finished:
        lost &= outcomes[-1].before_the_last
    if lost and all(outcome.is_complete for outcome in outcomes):
        proofs = ", ".join(outcome.proof for outcome in outcomes)
        return f"claims {proofs}, and has lost {len(lost)} items"
    server = history.server
    is_usable = server["order"] != "ties" and server.get("count_error", 0) >= 0
    is_whole = len(outcomes) == 1 and outcomes[0].is_finished
    if lost and history.stands_still and is_usable and is_whole:
        return f"has lost {len(lost)} items of a list that stood still"
    return None


def main() -> int:
    """Run histories; print the first that fail, and how to run each of them again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run this one, and print it")
    options = parser.parse_args()
    start, proofs, failures = time.monotonic(), Counter[str](), 0
    numbers = range(options.histories) if options.only is None else [options.only]
    for number in numbers:
        history = drawn(random.Random(f"{options.seed}/{number}"))
        if options.only is not None:
            print(history)
        fault = fault_of(history)
        proofs["failed" if fault else "passed"] += 1
        if fault is not None:
            failures += 1
            print(f"history {number}: {fault}")
            print(f"    python tests/histories.py --seed {options.seed} --only {number}")
            if failures >= 20:
                break
    seconds = time.monotonic() - start
    print(f"{sum(proofs.values()):,} histories, {failures} false, {seconds:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
