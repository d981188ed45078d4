"""The report: the sentences about how a list changed during a pull."""

from __future__ import annotations

from aioburki import Pagination
from aioburki._page import Page, PageWindow
from aioburki._paging.drift import DriftDetector


def page(
    number: int, rows: int, total: int, *, per_page: int = 10, total_pages: int | None = None
) -> Page[int]:
    pages = -(-total // per_page) if total_pages is None else total_pages
    return Page(
        items=(1,) * rows,
        pagination=Pagination(
            page=number,
            per_page=per_page,
            total_items=total,
            total_pages=pages,
            has_next=number < pages,
            has_prev=number > 1,
        ),
    )


def sentences(*pages: Page[int], duplicates: int = 0) -> tuple[str, ...]:
    drift = DriftDetector("contact")
    for each in pages:
        length = len(each.items)
        drift.record_page(
            PageWindow(each.pagination.page, 10), each.pagination, length=length, rows=length
        )
    drift.record_end()
    return drift.sentences(duplicates)


def test_no_drift_before_the_first_page() -> None:
    """A pull that has read no page reports no drift."""
    assert DriftDetector("contact").sentences(0) == ()


def test_no_drift_of_an_unchanging_list() -> None:
    """Full pages, a short last page and an empty list are no drift."""
    assert sentences(page(1, 10, 25), page(2, 10, 25), page(3, 5, 25)) == ()
    assert sentences(page(1, 10, 10)) == ()
    assert sentences(page(1, 0, 0)) == ()
    assert sentences(page(1, 0, 0, total_pages=1)) == ()


def test_growth_is_reported() -> None:
    """A higher total and more pages are both reported."""
    assert sentences(page(1, 10, 20), page(2, 10, 21), page(3, 1, 21)) == (
        "the server counted 20 contacts at first and 21 at last, between 20 and 21",
        "the list grew from 2 to 3 pages while it was read",
    )


def test_duplicates_are_reported() -> None:
    """A contact on two pages is reported, and so is a total that does not match."""
    assert sentences(page(1, 10, 20), page(2, 10, 20), duplicates=1) == (
        "1 duplicate contact left out",
        "19 contacts were received, the server counted 20",
    )
    assert "2 duplicate contacts left out" in sentences(
        page(1, 10, 18), page(2, 10, 20), duplicates=2
    )


def test_short_pages_are_named() -> None:
    """Short pages before the last are named, the first five of them by number."""
    assert sentences(page(1, 9, 20), page(2, 10, 20)) == (
        "page 1 did not hold as many contacts as announced",
        "19 contacts were received, the server counted 20",
    )
    many = [page(number, 9, 80) for number in range(1, 9)]
    assert sentences(*many)[0] == (
        "pages 1, 2, 3, 4, 5 and 3 more did not hold as many contacts as announced"
    )


def test_changed_page_size_is_reported() -> None:
    """Another per_page on a later page is reported."""
    assert "the server changed its page size between pages" in sentences(
        page(1, 10, 20), page(2, 5, 20, per_page=5)
    )


def test_totals_are_compared_only_at_the_end_of_the_list() -> None:
    """A pull that stops early reports no missing contacts."""
    drift = DriftDetector("contact")
    drift.record_page(PageWindow(1, 10), page(1, 10, 25).pagination, length=10, rows=10)
    assert drift.sentences(0) == ()


def test_too_many_pages_are_reported() -> None:
    """A total_pages higher than total_items needs is reported."""
    assert sentences(page(1, 3, 3, total_pages=3000))[0] == (
        "the server announced 3,000 pages of 10 for 3 contacts"
    )
