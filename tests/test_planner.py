"""Planner: which pages are requested, and when the pull ends."""

from __future__ import annotations

from aioburki import Pagination
from aioburki._page import Page, PageWindow
from aioburki._paging.planner import Planner


def plan(per_page: int = 100, limit: int | None = None) -> Planner:
    return Planner(per_page, limit)


def page(
    number: int,
    total_pages: int,
    held: int = 100,
    *,
    has_next: bool | None = None,
    per_page: int = 100,
    total_items: int | None = None,
) -> Page[int]:
    return Page(
        items=(1,) * held,
        pagination=Pagination(
            page=number,
            per_page=per_page,
            total_items=total_pages * per_page if total_items is None else total_items,
            total_pages=total_pages,
            has_next=number < total_pages if has_next is None else has_next,
            has_prev=number > 1,
        ),
    )


def drain(plan: Planner) -> list[int]:
    pages = []
    while (window := plan.next_window()) is not None:
        pages.append(window.page)
    return pages


def test_page_one_first_then_the_rest() -> None:
    """Only page 1 is planned until it is received."""
    pages = plan()
    assert pages.next_window() == PageWindow(page=1, per_page=100)
    assert pages.next_window() is None
    pages.record_page(page(1, 4), new=100, delivered=100)
    assert drain(pages) == [2, 3, 4]
    assert pages.reached_end


def test_no_pages_beyond_an_empty_list() -> None:
    """Zero pages or one page mean one request."""
    for total in (0, 1):
        pages = plan()
        assert drain(pages) == [1]
        pages.record_page(page(1, total), new=0, delivered=0)
        assert drain(pages) == []
        assert pages.reached_end


def test_growing_list_is_followed() -> None:
    """A later page that announces more pages, or a next one, extends the plan."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 2), new=100, delivered=100)
    assert drain(pages) == [2]
    pages.record_page(page(2, 3), new=100, delivered=200)
    assert drain(pages) == [3]
    pages.record_page(page(3, 3, has_next=True), new=100, delivered=300)
    assert drain(pages) == [4]


def test_shrinking_list_is_read_to_its_old_end() -> None:
    """A smaller total may come from a stale replica, so the planned pages are still read."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 4), new=100, delivered=100)
    pages.next_window()
    pages.record_page(page(2, 2), new=100, delivered=200)
    assert drain(pages) == [3, 4]


def test_server_that_always_claims_a_next_page_is_not_followed_for_ever() -> None:
    """A page without a single new contact does not lead to another."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 1, has_next=True), new=100, delivered=100)
    assert drain(pages) == [2]
    pages.record_page(page(2, 1, has_next=True), new=0, delivered=100)
    assert drain(pages) == []


def test_limit_asks_for_no_page_too_many() -> None:
    """Only the pages that the limit needs are requested."""
    pages = plan(limit=250)
    drain(pages)
    pages.record_page(page(1, 10), new=100, delivered=100)
    assert drain(pages) == [2, 3]
    assert not pages.reached_end
    pages.record_page(page(2, 10), new=100, delivered=200)
    pages.record_page(page(3, 10), new=100, delivered=250)
    assert drain(pages) == []


def test_limit_asks_for_more_if_pages_bring_less() -> None:
    """With a limit, further pages replace duplicates and short pages, up to the end of the list."""
    pages = plan(limit=150)
    drain(pages)
    pages.record_page(page(1, 3), new=100, delivered=100)
    assert drain(pages) == [2]
    pages.record_page(page(2, 3), new=20, delivered=120)
    assert drain(pages) == [3]
    pages.record_page(page(3, 3, 10, total_items=210), new=10, delivered=130)
    assert drain(pages) == []


def test_limit_counts_with_the_page_size_of_the_server() -> None:
    """A server that caps per_page needs more pages for the same limit."""
    pages = plan(per_page=1000, limit=250)
    drain(pages)
    pages.record_page(page(1, 10), new=100, delivered=100)
    assert drain(pages) == [2, 3]


def test_limit_zero_asks_for_nothing() -> None:
    """A limit of 0 needs no request."""
    assert drain(plan(limit=0)) == []


def test_short_end_that_filled_up_is_read_again() -> None:
    """A short last page is read again if the list has grown beyond it since."""
    pages = plan()
    drain(pages)
    assert pages.record_page(page(1, 3), new=100, delivered=100) is None
    assert drain(pages) == [2, 3]
    assert pages.record_page(page(2, 5), new=100, delivered=200) is None
    assert drain(pages) == [4, 5]
    again = pages.record_page(page(3, 3, 40), new=40, delivered=240)
    assert again == PageWindow(page=3, per_page=100)
    assert pages.is_second_reading(3)
    assert pages.record_page(page(3, 5), new=60, delivered=300) is None
    assert pages.record_page(page(4, 5), new=100, delivered=400) is None
    last = page(5, 5, 10, total_items=410)
    assert pages.record_page(last, new=10, delivered=410) is None
    assert pages.reached_end


def test_short_page_is_read_again_only_if_the_list_grew_since() -> None:
    """If the list shrinks or the limit is reached, a short page is not read again."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 4), new=100, delivered=100)
    assert drain(pages) == [2, 3, 4]
    assert pages.record_page(page(2, 2, 50), new=50, delivered=150) is None
    limited = plan(limit=140)
    drain(limited)
    limited.record_page(page(1, 2), new=100, delivered=100)
    assert drain(limited) == [2]
    assert limited.record_page(page(2, 2, 40), new=40, delivered=140) is None


def test_short_end_is_read_again_though_it_stays_the_end() -> None:
    """The last page is read again if a contact was added to it."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 3, total_items=250), new=100, delivered=100)
    assert drain(pages) == [2, 3]
    pages.record_page(page(2, 3, total_items=251), new=100, delivered=200)
    again = pages.record_page(page(3, 3, 50, total_items=250), new=50, delivered=250)
    assert again == PageWindow(page=3, per_page=100)
    assert pages.record_page(page(3, 3, 51, total_items=251), new=1, delivered=251) is None


def test_last_page_that_is_short_of_its_own_count_is_read_again() -> None:
    """A page shorter than its own total implies is read again, but only once."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 2, total_items=140), new=100, delivered=100)
    assert drain(pages) == [2]
    again = pages.record_page(page(2, 2, 40, total_items=145), new=40, delivered=140)
    assert again == PageWindow(page=2, per_page=100)
    assert pages.record_page(page(2, 2, 45, total_items=150), new=5, delivered=145) is None


def test_thousand_pages_without_new_items_end_the_list() -> None:
    """A server that counts ever more pages, and sends none but repeats, is not followed."""
    planner = plan()
    for number in range(1, 1100):
        window = planner.next_window()
        if window is None:
            break
        planner.record_page(page(number, number + 1), new=number == 1, delivered=100)
    assert number == 1002


def test_last_page_of_a_list_that_has_become_shorter_is_read_again() -> None:
    """An announced page that is empty now has moved to the page that is the last one, once."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 4), new=100, delivered=100)
    assert drain(pages) == [2, 3, 4]
    assert pages.record_page(page(2, 4), new=100, delivered=200) is None
    again = pages.record_page(page(3, 2, 0, total_items=180), new=0, delivered=200)
    assert again == PageWindow(page=2, per_page=100)
    assert pages.record_page(page(2, 2, 80, total_items=180), new=30, delivered=230) is None
    assert pages.record_page(page(4, 2, 0, total_items=180), new=0, delivered=230) is None
    assert pages.reached_end


def test_items_that_are_counted_are_asked_for_behind_the_announced_pages() -> None:
    """Pages are requested while fewer rows came than the server counts and they bring new ones."""
    pages = plan()
    drain(pages)
    pages.record_page(page(1, 2, total_items=400), new=100, delivered=100)
    assert drain(pages) == [2]
    pages.record_page(page(2, 2, total_items=400), new=100, delivered=200)
    assert drain(pages) == [3]
    pages.record_page(page(3, 2, total_items=400), new=100, delivered=300)
    assert drain(pages) == [4]
    pages.record_page(page(4, 2, 0, total_items=400), new=0, delivered=300)
    assert pages.reached_end
