"""Lists that move: each item that stays is delivered once, in order, and that is proved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from moving_list import ORDERS, Item, MovingList, Outcome, PastEnd, pull

from aioburki._page import Page, PageWindow
from aioburki._paging.frontier import Bounds

pytestmark = pytest.mark.long

PAGES = 60
CREATED = ("created_at,id", "-created_at,-id", "created_at,-id", "-created_at,id")

# Items per request.
MODERATE: dict[str, Mapping[str, float]] = {
    "four leave": {"leave": 4},
    "five of eight requests delete one": {"delete": 0.625},
    "five deleted": {"delete": 5},
    "one out, one in": {"swap": 1},
    "in and out": {"in_out": 2},
    "25 appended": {"add": 25},
}
HARSH: dict[str, dict[str, Any]] = {
    "twenty leave": {"drift": {"leave": 20}},
    "sixty leave": {"drift": {"leave": 60}},
    "five out, five in": {"drift": {"swap": 5}},
    "five in and out": {"drift": {"in_out": 5}},
    "three deleted in two requests": {"drift": {"delete": 1.5}},
    "3,000 deleted at once": {"bursts": {30: ("delete", 3000)}},
    "5,000 imported at once": {"bursts": {30: ("add", 5000)}},
    "5,000 imported early": {"bursts": {3: ("add", 5000)}},
    "counts lag": {"drift": {"leave": 4, "add": 3}, "lag": 2},
    "no page past the end": {"drift": {"leave": 20}, "past_end": "404"},
    "last page once more past the end": {"drift": {"leave": 20}, "past_end": "last page"},
}


def check(outcome: Outcome, *, concurrency: int = 8) -> None:
    """Check that a pull of a list with a usable order was complete, ordered and bounded."""
    assert outcome.lost == set()
    assert outcome.doubled == 0
    assert outcome.is_ordered
    assert (outcome.proof, outcome.missing, outcome.duplicates) == ("coverage", 0, 0)
    assert outcome.max_held <= 4 * concurrency


@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", MODERATE)
def test_moderate_drift_costs_little(case: str, seed: int, gaps: bool, order: str) -> None:
    """At most 1.3 times as many requests as pages, or 1.6 times where ids were consecutive."""
    server = MovingList(PAGES * 1000, order, MODERATE[case], gaps=gaps, seed=seed)
    pages = math.ceil(len(server.items) / 1000)
    outcome = pull(server, seed=seed)
    check(outcome)
    is_import = order == "-id" and case == "25 appended"  # not moderate: 1,500 enter in front
    assert outcome.requests <= (2 if is_import else 1.3 if gaps else 1.6) * pages


@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", HARSH)
def test_harsh_drift_is_complete(case: str, seed: int, gaps: bool, order: str) -> None:
    """However fast a list moves, nothing that stays is lost, within twice its pages and 40."""
    server = MovingList(PAGES * 1000, order, gaps=gaps, seed=seed, **HARSH[case])
    outcome = pull(server, seed=seed, is_wild=seed == 1)
    check(outcome)
    assert outcome.requests <= 2 * PAGES + 40


@pytest.mark.parametrize("order", CREATED)
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("case", MODERATE)
def test_order_of_creation(case: str, shuffled: bool, order: str) -> None:
    """Lists by time of creation and id are complete, in each direction, with ids out of order."""
    drift = {kind: rate / 5 for kind, rate in MODERATE[case].items()}
    server = MovingList(30 * 200, order, drift, shuffled=shuffled, gaps=True)
    outcome = pull(server, 200)
    check(outcome)
    is_import = order.startswith("-") and case == "25 appended"
    assert outcome.requests <= (2.2 if is_import else 1.3) * 30


@pytest.mark.parametrize("length", [2, 999, 1000, 1001, 2000, 2001, 7777, 60_000])
def test_still_rising_list_takes_as_many_requests_as_pages(length: int) -> None:
    """A list that stands still and has consecutive ids takes total_pages requests of one size."""
    outcome = pull(MovingList(length), 1000)
    pages = -(-length // 1000)
    assert outcome.requests == pages
    assert [window.page for window in outcome.windows] == list(range(1, pages + 1))
    assert {window.per_page for window in outcome.windows} == {1000}
    assert outcome.proof == ("single page" if pages == 1 else "coverage")
    assert outcome.drift == ()


@pytest.mark.parametrize("pages", [2, 3, 5, 10, 30, 60])
@pytest.mark.parametrize("order", ["id", "-id", "created_at,id"])
def test_still_list_with_gaps_takes_few_requests_more(order: str, pages: int) -> None:
    """A list that stands still and has gaps takes a tenth more requests, rounded up, and one."""
    for length in (pages * 1000 - 500, pages * 1000):
        outcome = pull(MovingList(length, order, gaps=True), 1000)
        check(outcome)
        closing = order == "-id"  # page 1 once more
        assert outcome.requests <= math.ceil(1.1 * pages) + 1 + closing
        assert outcome.drift == ()


@pytest.mark.parametrize("largest", [100, 7])
@pytest.mark.parametrize("length", [1000, 995])
def test_smaller_pages_than_asked_for(length: int, largest: int) -> None:
    """A server that allows no larger pages is read in as many requests as it has pages."""
    outcome = pull(MovingList(length, largest=largest), 1000)
    check(outcome)
    assert outcome.requests == -(-length // largest)
    assert outcome.drift == ()


@pytest.mark.parametrize("only", [40, 50, 60])
@pytest.mark.parametrize("gaps", [False, True])
def test_server_that_ignores_the_page_size(only: int, gaps: bool) -> None:
    """A list in pages of one size is whole; proved only if no id can lie between two pages."""
    outcome = pull(MovingList(1000, only=only, gaps=gaps), 50)
    assert outcome.lost == set()
    assert outcome.doubled == 0
    assert outcome.proof == ("count" if gaps else "coverage")
    assert outcome.requests <= 1000 // only + 16  # some were asked for before it was known


@pytest.mark.parametrize("order", ["ties", "hidden"])
def test_no_usable_order(order: str) -> None:
    """A list in no order that its items show is swept until the count is reached, and no longer."""
    server = MovingList(1000, order)
    outcome = pull(server, 100)
    assert not outcome.is_complete
    if order == "hidden":
        assert (outcome.proof, outcome.requests, outcome.lost) == ("count", 10, set())
    else:
        assert outcome.proof == ("count" if not outcome.lost else "none")
        assert outcome.missing == len(outcome.lost)
        assert outcome.requests <= 2 * 10 + 40
    assert outcome.reading.order is None


@pytest.mark.parametrize("kind", ["to_head", "to_tail", "dial_to_head", "dial_to_tail"])
@pytest.mark.parametrize("rate", [0.2, 1, 20])
@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("gaps", [False, True])
def test_sort_key_that_moves(kind: str, rate: float, order: str, gaps: bool) -> None:
    """A list whose items change their place is not claimed to be complete if one is lost."""
    for seed in range(3):
        server = MovingList(20 * 200, order, {kind: rate}, gaps=gaps, seed=seed)
        outcome = pull(server, 200, seed=seed)
        assert outcome.doubled == 0
        assert not (outcome.is_complete and outcome.lost)
        assert outcome.requests <= 3 * 20 + 44


@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("end", ["head", "tail"])
@pytest.mark.parametrize("number", [50, 100, 200, 300])
@pytest.mark.parametrize("kind", ["block", "sample"])
def test_order_by_last_touch_that_is_kept_inside_every_page(
    kind: str, number: int, end: str, order: str
) -> None:
    """Items touched by one statement, which stay in order among each other, are no proof."""
    for request in range(2, 16):
        server = MovingList(1500, order, bursts={request: (f"{kind}_to_{end}", number)})
        outcome = pull(server, 100, seed=request)
        assert outcome.doubled == 0
        assert not (outcome.is_complete and outcome.lost), request


@pytest.mark.parametrize("aligned", [True, False])
def test_list_that_wraps_around_at_a_page_border(aligned: bool) -> None:
    """Last touched first, dialled in the order of ids: each page is in order, the list is not."""
    server = MovingList(3000, "-id", gaps=False)
    server.items = (
        server.items[2000 if aligned else 1950 :] + server.items[: 2000 if aligned else 1950]
    )
    outcome = pull(server, 100)
    assert not outcome.is_complete
    assert outcome.lost == set()
    assert outcome.proof == "count"


@pytest.mark.parametrize("past_end", ["empty", "404", "last page"])
@pytest.mark.parametrize("gaps", [False, True])
def test_empty_page_is_no_end(past_end: PastEnd, gaps: bool) -> None:
    """Of 3,100 items 100 leave in front when three pages are read: the rest are not lost."""
    bursts = {4: ("head_delete", 100)}
    server = MovingList(3100, bursts=bursts, gaps=gaps, past_end=past_end)
    outcome = pull(server, 1000, concurrency=1)
    check(outcome, concurrency=1)


@pytest.mark.parametrize("has_other", [True, False])
def test_order_that_breaks_on_page_37(has_other: bool) -> None:
    """Where ids fall out of order late, the list is read in the order that is left, or swept."""
    server = MovingList(6000, "created_at,id")
    late = server.items[3650]
    server.items[3650] = late._replace(id=99_999)
    server.at_start = {item.id for item in server.items}
    orders = ORDERS if has_other else ORDERS[:2]
    outcome = pull(server, 100, orders=orders)
    assert outcome.lost == set()
    assert outcome.doubled == 0
    assert outcome.proof == ("coverage" if has_other else "count")
    assert outcome.reading.order is None  # items were delivered in two
    assert outcome.requests <= (60 * 2.2 if has_other else 60)


@pytest.mark.parametrize(
    ("limit", "requests"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (3000, 3), (9999, 5)]
)
@pytest.mark.parametrize("order", ["id", "hidden"])
def test_limit(limit: int, requests: int, order: str) -> None:
    """A limit takes no page more than it needs of a still list, and complete speaks of those."""
    outcome = pull(MovingList(5000, order), 1000, limit=limit)
    assert len(outcome.delivered) == min(limit, 5000)
    assert outcome.requests == requests
    if requests <= 1:
        assert outcome.proof == "single page"
    else:
        expected = "coverage" if order == "id" else "count" if limit > 5000 else "none"
        assert outcome.proof == expected
    assert outcome.missing == 0
    assert outcome.drift == ()
    assert outcome.is_finished == (limit > 5000)


@pytest.mark.parametrize("order", ["id", "-id"])
@pytest.mark.parametrize("limit", [150, 1000, 1500])
def test_limit_of_a_list_that_moves(limit: int, order: str) -> None:
    """The items up to the last one delivered are complete."""
    server = MovingList(3000, order, {"leave": 2, "in_out": 1}, gaps=True)
    outcome = pull(server, 100, limit=limit)
    assert len(outcome.delivered) == limit
    assert not outcome.lost & outcome.before_the_last
    assert outcome.is_complete
    assert not outcome.is_finished


@pytest.mark.parametrize("length", [0, 1, 5])
def test_list_of_one_page(length: int) -> None:
    """A list of one page takes one request, and is a single page whatever its order."""
    for order in ("id", "hidden"):
        outcome = pull(MovingList(length, order), 1000)
        assert (outcome.requests, outcome.proof) == (1, "single page")
        assert len(outcome.delivered) == length


@pytest.mark.parametrize("error", [1, 30])
def test_count_that_promises_more_than_there_is(error: int) -> None:
    """A server that counts too many is asked a few times for more, and nothing is claimed."""
    outcome = pull(MovingList(3000, count_error=error), 1000)
    assert (outcome.lost, outcome.proof, outcome.missing) == (set(), "none", error)
    assert outcome.requests <= 3 + 11


def test_count_that_is_too_small() -> None:
    """What a server does not count is read nevertheless, up to a page that is not full."""
    outcome = pull(MovingList(3050, count_error=-1500, gaps=True), 1000)
    check(outcome)


def test_next_page_announced_for_ever() -> None:
    """A server that always announces a next page is not believed, and not followed for ever."""
    outcome = pull(MovingList(3000, always_next=True), 1000)
    assert (outcome.lost, outcome.proof, outcome.missing) == (set(), "none", 0)
    assert outcome.requests <= 3 + 6


def test_list_that_grows_faster_than_it_is_read() -> None:
    """Items that enter at the head faster than pages are read end the pull unproved."""
    server = MovingList(100, "-id", {"add": 12}, calm_after=5000)
    outcome = pull(server, 10, max_requests=5000)
    assert not outcome.is_complete


def test_budget_that_is_spent() -> None:
    """When probes are spent the pull goes on page by page, claims nothing, and says how many."""
    server = MovingList(2000, drift={"leave": 60, "add": 60}, gaps=True, calm_after=300)
    outcome = pull(server, 50)
    assert outcome.proof == "none"
    assert not outcome.is_complete
    assert outcome.probes <= 40 + 40 + 1
    assert outcome.doubled == 0


def test_budget_covers_probes_and_sweeps() -> None:
    """Probes and further sweeps together are as many requests as the list has pages, and 40."""
    for seed in range(5):
        server = MovingList(3000, "ties", {"delete": 1}, seed=seed)
        outcome = pull(server, 100, seed=seed)
        assert outcome.probes <= 30 + 40


def test_list_that_is_deleted_while_it_is_read() -> None:
    """A list that is emptied ends the pull; the items are gone, and nothing was lost."""
    outcome = pull(MovingList(3000, bursts={6: ("head_delete", 3000)}), 100)
    assert outcome.lost == set()
    assert outcome.requests <= 30 + 20


def test_pages_of_one_item() -> None:
    """Pages of one item share none and show no order: two are read at a time."""
    for order in ("id", "-id"):
        outcome = pull(MovingList(40, order, {"delete": 0.2}, gaps=True), 1)
        check(outcome)
        assert all(window.per_page >= 2 for window in outcome.windows)
    unproved = pull(MovingList(40, "-id", largest=1), 1)
    assert (unproved.lost, unproved.proof) == (set(), "count")


def test_drift_of_overlapping_windows() -> None:
    """Windows overlap by plan, which is no drift; a list that moved unseen by counts is."""
    assert pull(MovingList(5000, gaps=True), 100).drift == ()
    moved = pull(MovingList(5000, "id", {"swap": 1}), 100)
    assert moved.is_complete
    assert len(moved.drift) == 1


def test_range_goes_on_behind_its_key() -> None:
    """A range of a still list takes its pages and at most three requests to find its start."""
    server = MovingList(5000, gaps=True)
    key = server.items[2499].id
    for offset in (2500, 2450, 2570, 0, 4000):
        bounds = Bounds(after=key, offset=offset)
        outcome = pull(server, 100, bounds=bounds, orders=ORDERS[:1])
        assert outcome.delivered == [item.id for item in server.items[2500:]]
        assert outcome.is_complete
        extra = {2500: 3, 0: 40}.get(offset, 12)
        assert outcome.requests <= math.ceil(25 * 1.1) + extra


def test_range_ends_at_its_last_key() -> None:
    """A range with a last key delivers nothing behind it, and asks for little behind it."""
    server = MovingList(5000, gaps=True)
    bounds = Bounds(server.items[999].id, server.items[2999].id, 1000, 3000)
    outcome = pull(server, 100, bounds=bounds, orders=ORDERS[:1])
    assert outcome.delivered == [item.id for item in server.items[1000:3000]]
    assert (outcome.proof, outcome.missing) == ("coverage", 0)
    assert outcome.requests <= 20 * 1.1 + 3


def test_range_whose_order_breaks_stops_there() -> None:
    """A range delivers nothing of other ranges: where its order breaks it ends unproved."""
    server = MovingList(2000, gaps=True)
    key = server.items[499].id
    server.items[1200], server.items[100] = server.items[100], server.items[1200]
    outcome = pull(server, 100, bounds=Bounds(after=key, offset=500), orders=ORDERS[:1])
    assert outcome.proof == "none"
    assert outcome.missing == 0
    assert not outcome.is_finished
    assert (
        outcome.delivered == [item.id for item in server.items[500:1200]][: len(outcome.delivered)]
    )


def test_range_of_a_list_that_has_become_one_page() -> None:
    """A range delivers nothing before its key, though all that is left fits on one page."""
    server = MovingList(50)
    outcome = pull(server, 100, bounds=Bounds(after=120, offset=2000), orders=ORDERS[:1])
    assert outcome.delivered == list(range(121, 151))
    assert outcome.is_complete
    empty = pull(server, 100, bounds=Bounds(after=9999, offset=2000), orders=ORDERS[:1])
    assert (empty.delivered, empty.is_complete) == ([], True)


def test_item_out_of_order_at_a_page_border() -> None:
    """An item below all of its page, and of none before, is no item that entered: nothing moved."""
    server = MovingList(1200)
    server.items.insert(399, server.items.pop(200))  # page 1 is in order, and so is page 2
    server.items[399], server.items[400] = server.items[400], server.items[399]
    outcome = pull(server, 400)
    assert (outcome.lost, outcome.proof) == (set(), "count")


@pytest.mark.parametrize("number", [150, 99])
@pytest.mark.parametrize("start", [500, 1000])
def test_items_of_a_part_that_are_at_the_head_of_the_list(start: int, number: int) -> None:
    """A part is unproved if its items have moved to page 1 unread, in order or not."""
    server = MovingList(2000, "-id")
    key, end = server.items[499].id, start + number
    server.items = server.items[start:end] + server.items[:start] + server.items[end:]
    bounds = Bounds(after=key, offset=500)
    outcome = pull(server, 100, bounds=bounds, orders=ORDERS[1:2])
    assert outcome.proof == "none"
    assert not outcome.is_finished


class Server(MovingList):
    """A list that moves when a page is read for the first time."""

    def __init__(self, length: int, order: str, moves: Mapping[int, tuple[int, int]]) -> None:
        super().__init__(length, order)
        self.moves = dict(moves)
        self.order_of_pages: list[int] = []

    def page(self, window: PageWindow) -> Page[Item] | None:
        """Move an item from one place to another, and return the page."""
        self.order_of_pages.append(window.page)
        start, place = self.moves.pop(window.page, (0, 0))
        self.items.insert(place, self.items.pop(start))
        return super().page(window)


def test_item_that_moves_behind_the_end_that_was_read_before() -> None:
    """The end of a list that moves is read again when all that lies before it has been read."""
    server = Server(250, "id", {2: (150, 249)})
    outcome = pull(server, 100, concurrency=2, seed=1)
    assert server.order_of_pages[:3] == [1, 3, 2]
    assert not (outcome.is_complete and outcome.lost)


def test_item_that_moves_to_the_end_unread() -> None:
    """The end of a list that moves is read again with items before it, which shows the order."""
    server = Server(85, "-id", {8: (83, 84)})
    outcome = pull(server, 12, concurrency=1)
    assert not (outcome.is_complete and outcome.lost)


def test_windows_overlap_as_far_as_seams_stood_open() -> None:
    """Where each seam takes a probe, windows share more items, so that fewer seams are open."""
    for seed in range(3):
        server = MovingList(PAGES * 1000, "id", {"leave": 20}, gaps=True, seed=seed)
        outcome = pull(server, seed=seed)
        check(outcome)
        assert outcome.requests <= 1.6 * PAGES


def test_items_that_are_replaced_fast() -> None:
    """A list is complete though a tenth of it is replaced while it is read, mostly at its head."""
    server = MovingList(20_000, "id", {"leave": 53, "delete": 27, "add": 80})
    check(pull(server))


class CuttingServer(MovingList):
    """A server that returns the first item of the next page instead of the last of each."""

    def page(self, window: PageWindow) -> Page[Item] | None:
        """Return the page at *window*."""
        page = super().page(window)
        if page is None or not page.pagination.has_next:
            return page
        behind = self.items[window.page * window.per_page]
        return Page((*page.items[:-1], behind), page.pagination)


def test_each_sweep_has_its_own_page_size() -> None:
    """What a server hides between two pages is found by a sweep with other pages."""
    outcome = pull(CuttingServer(1000, "hidden"), 100)
    assert (outcome.lost, outcome.proof) == (set(), "count")


def test_count_of_a_list_that_moved_is_no_proof() -> None:
    """As many items as the server counts prove nothing if its counts have changed."""
    outcomes = [
        pull(MovingList(1000, "hidden", bursts={4: ("delete", 1), 6: ("add", 1)}, seed=seed), 100)
        for seed in range(20)
    ]
    counted = [outcome for outcome in outcomes if len(outcome.delivered) == 1000]
    assert counted
    assert {outcome.proof for outcome in counted} == {"none"}


@pytest.mark.parametrize("place", [0, 50, 150])
def test_item_without_time_of_creation(place: int) -> None:
    """A list in which one item has no time of creation is in no order by it."""
    server = MovingList(300, "created_at,id", shuffled=True)
    server.items[place] = server.items[place]._replace(created=None)
    outcome = pull(server, 100)
    assert (outcome.lost, outcome.proof) == (set(), "count")


def test_list_of_one_page_size_that_grows_as_fast_as_it_is_read() -> None:
    """A list whose last page is always full, and which grows, ends the pull unproved."""
    server = MovingList(6000, "id", {"swap": 1, "add": 1}, only=100)
    outcome = pull(server, 200, max_requests=400)
    assert not outcome.is_complete
    assert outcome.doubled == 0


@pytest.mark.parametrize("place", [199, 200, 201])
@pytest.mark.parametrize("seed", range(4))
def test_neighbouring_ids_of_a_list_in_another_order(place: int, seed: int) -> None:
    """Pages are not joined by ids alone when the list has moved and may be in another order."""
    server = MovingList(600, "created_at,id", bursts={3: ("head_delete", 1)}, seed=seed)
    odd = server.items[place]._replace(id=90_000 + place)
    server.items[place] = odd
    server.at_start = {item.id for item in server.items}
    outcome = pull(server, 100, seed=seed, concurrency=1)
    assert not (outcome.is_complete and outcome.lost)
    assert outcome.doubled == 0


def tied_list(seed: int, place: int, **options: Any) -> MovingList:
    """Return a list by time of creation alone, in which two items have equal times."""
    server = MovingList(600, "ties", seed=seed, **options)
    times = [item.id for item in server.items]
    times[place + 1] = times[place]
    items = zip(server.items, times, strict=True)
    server.put(item._replace(created=10 * time) for item, time in items)
    return server


@pytest.mark.parametrize("drift", [{}, {"leave": 0.5}])
@pytest.mark.parametrize("place", [99, 98, 197])
def test_two_equal_keys_at_a_page_border(place: int, drift: Mapping[str, float]) -> None:
    """The item that a page leaves out, because it has the key of the last one, is not lost."""
    for seed in range(12):
        outcome = pull(tied_list(seed, place, drift=drift), 100, seed=seed)
        assert not (outcome.is_complete and outcome.lost)
        assert outcome.doubled == 0


@pytest.mark.parametrize("order", CREATED)
def test_equal_times_that_ids_order(order: str) -> None:
    """Items that enter with the time of the last one are no items that were left out."""
    server = MovingList(3000, order, {"in_out": 4})
    server.put(item._replace(created=7) for item in server.items)
    server._out = [item._replace(created=7) for item in server._out]
    outcome = pull(server, 100, orders=tuple(each for each in ORDERS if each.name == order))
    check(outcome)


def test_item_that_comes_again_with_another_key() -> None:
    """An item whose time of creation changes while the list is read is no proof of anything."""
    server = Server(300, "created_at,id", {})
    first, *others = server.items
    server.put([first._replace(id=9999), *others, server.items[10]._replace(created=10**6)])
    outcome = pull(server, 100)
    assert (outcome.lost, outcome.doubled, outcome.is_complete) == (set(), 0, False)


def test_items_of_another_part_with_equal_times() -> None:
    """A part does not deliver what lies before it, though neighbours there have equal times."""
    for seed in range(20):
        server = tied_list(seed, 28, drift={"swap": 3})
        before, last = {item.id for item in server.items[:30]}, server.items[29]
        bounds = Bounds(after=(last.created, max(before)), offset=30)
        outcome = pull(server, 20, bounds=bounds, orders=ORDERS[2:3], seed=seed)
        assert not before & set(outcome.delivered)


class GrowingServer(MovingList):
    """A list to which an item is added when its second page is requested."""

    def page(self, window: PageWindow) -> Page[Item] | None:
        """Add an item with the time of another one, and return the page."""
        if self.requests == 1:
            self.items.insert(98, Item(1, self.items[98].created))
        return super().page(window)


def test_item_that_enters_with_the_time_of_its_neighbour() -> None:
    """An item that the count explains has entered, and is not delivered out of order."""
    server = GrowingServer(300, "created_at,id")
    server.put(item._replace(created=item.id * 10) for item in server.items)
    outcome = pull(server, 100, concurrency=1, orders=ORDERS[2:3])
    check(outcome, concurrency=2)
    assert 1 not in outcome.delivered


def test_rest_behind_an_item_that_came_late() -> None:
    """A pull that ends with the item that a page had left out goes on behind those before it."""
    server = tied_list(7, 99)
    first = pull(server, 100, seed=7, limit=101, concurrency=1)
    assert first.delivered[-3:] == [199, 201, 200]
    rest = first.rest(None)
    assert rest is not None
    bounds, order = rest
    second = pull(server, 100, bounds=bounds, orders=(order,))
    assert second.is_complete
    assert [*first.delivered[:99], 200, 201, *second.delivered] == list(range(101, 701))


def test_sweep_of_a_list_that_becomes_shorter() -> None:
    """A page of a sweep that is 404, because the list has become shorter, is no error."""
    server = MovingList(1000, "hidden", bursts={8: ("delete", 300)}, past_end="404", seed=1)
    outcome = pull(server, 100)
    assert (outcome.lost, outcome.is_complete) == (set(), False)
