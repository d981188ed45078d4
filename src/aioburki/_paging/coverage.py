"""Coverage: pages of a list that moves, read so that every interval of keys has been read.

A page that the server reads in one statement holds every item that existed at that moment between
its first key and its last; before its first, if it starts at offset 0; and after its last, if it is
shorter than its page size. A list is complete when such intervals cover all keys, however it moved
meanwhile. Pages are joined in order at the frontier. A page that does not join it leaves an open
seam, which is closed by probes: requests that search for the frontier further left or right.

This needs items that keep their keys. A list where keys change shows it by a page that breaks the
order, or that lacks items that were read between its keys (`Frontier.fits`). Therefore, when the
end has been read, page 1 is read once more if the list has moved or its keys fall, and the end once
more if the list has moved: an item whose key has changed is on one of the two.

Decides only; sends nothing and waits for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from .._page import Page, PageWindow, Pagination
from .closing import Closing
from .counts import Counts
from .ending import Ending, is_whole_list
from .frontier import Bounds
from .joiner import Joined, Joiner
from .order import SortOrder
from .read_page import ReadPage, Request, read_page
from .seen_ids import SeenIds
from .windows import WindowPlan, offset_of

T = TypeVar("T")

# A page of one item satisfies every order, and pages of one item cannot overlap.
MIN_PAGE = 2


class Coverage(Generic[T]):
    """Join the pages of one list, or of a part of it, in the order of its keys.

    Args:
        orders: the orders that the list may have, the preferred one first; of a part, its own.
        identity: returns the id of an item.
        per_page: maximum page size.
        seen: the ids of the items that were delivered.
        bounds: the part of the list to read; all of it by default.

    Attributes:
        counts: the lengths that the server states.
        plan: where the next window begins.
        joiner: joins the pages that have come.
        frontier: the key up to which everything has been read.
        duplicates: repeated items of a list of one page.
        is_done: whether the end of the list, or of its part, has been read.
        is_single_page: whether one page held the whole list.
    """

    def __init__(
        self,
        orders: Sequence[SortOrder[T]],
        identity: Callable[[T], int],
        per_page: int,
        seen: SeenIds,
        bounds: Bounds | None = None,
    ) -> None:
        self._is_part = bounds is not None
        self._bounds = Bounds() if bounds is None else bounds
        self.counts = Counts()
        self.plan = WindowPlan(max(MIN_PAGE, per_page), self._bounds.offset)
        self.joiner = Joiner(
            orders, identity, seen, bounds=self._bounds, plan=self.plan, counts=self.counts
        )
        self.frontier = self.joiner.frontier
        self._ending = Ending(self.counts)
        self._requests = 0
        self._pending: deque[Request] = deque()
        self._outdated = 0  # how many of these were requested before a restart
        self._order = self.order  # in which the pages so far are joined
        self._closing = Closing()
        self.duplicates = 0
        self.is_done = False
        self.is_single_page = False

    @property
    def order(self) -> SortOrder[T] | None:
        """The order in which pages are joined; None if the list has no usable order."""
        return self.joiner.candidates.best

    @property
    def is_stuck(self) -> bool:
        """Whether no order is usable, or a seam is open and the budget for probes is spent."""
        return self.joiner.is_stuck

    @property
    def is_complete(self) -> bool:
        """Whether nothing was skipped so far, in an order that is given or was seen."""
        is_order_known = self._is_part or self.frontier.delivered > 1
        return is_order_known and not self.is_stuck and not self._ending.is_endless

    @property
    def unread_from(self) -> int:
        """The offset from which a list without a usable order is to be read page by page."""
        return self.frontier.offset if self.plan.is_fixed else self.plan.end

    @property
    def has_moved(self) -> bool:
        """Whether pages have shown that the list moves."""
        return self.counts.have_moved or self.has_shifted

    @property
    def has_shifted(self) -> bool:
        """Whether a page overlapped the one before by more or less than planned."""
        return self.joiner.had_seams or self.frontier.has_shifted

    @property
    def pending(self) -> int:
        """How many windows are requested and not recorded yet."""
        return len(self._pending)

    @property
    def is_waiting(self) -> bool:
        """Whether pages are requested or held."""
        return bool(self._pending) or self.joiner.has_held

    def next_window(self) -> PageWindow | None:
        """Return the next window to read, or None if none is known or wanted now."""
        if self.joiner.is_seam_open or self.is_done or self.is_stuck:
            return None
        window = self._continue() if self.is_waiting else self._resume()
        if window is not None:
            self._requests += 1
            self._pending.append(Request(self._requests, is_sequential=not self.is_waiting))
        return window

    def next_probe(self) -> PageWindow | None:
        """Return the probe to send before anything else, if a seam is open."""
        self._requests += 1
        return None if self.is_done else self.joiner.next_probe()

    def record(self, window: PageWindow, page: Page[T] | None) -> list[Page[T]]:
        """Record the page of the window or probe that is next in order; None for no such page.

        Returns:
            The pages that can be delivered now, without items that were delivered before.
        """
        ready: list[Page[T]] = []
        is_probe = self.joiner.is_seam_open
        request = Request(self._requests) if is_probe else self._pending.popleft()
        if not is_probe and self._outdated:
            self._outdated -= 1
            return ready
        read = self._read(window, page, ready, request)
        if read is not None and not self.is_done:
            if self._closing.is_open:
                self._close(read)
            elif is_probe:
                self._deliver(self.joiner.join_probe(read), ready)
            elif read.keys or read.offset == 0:
                self.joiner.hold(read)
            else:
                self._ending.record_fruitless(read)
            self._deliver(self.joiner.join_held(), ready)
        if self._ending.is_endless and not self._has_ended:
            self._end(is_checked=False, is_over=True)
        self._follow_order()
        return ready

    def end_early(self) -> None:
        """End at the frontier, because the items behind it are not wanted."""
        if not self._has_ended:
            self._end(is_checked=self.has_moved and self.counts.pages > 1, is_over=True)

    def _continue(self) -> PageWindow | None:
        """Return the window behind the pending ones, up to the announced end."""
        end, total = self._bounds.end, self.counts.latest
        if end:
            total = min(total, end + self.plan.least_overlap)
        is_alone = not self.counts.pages or self._closing.is_open or self._closing.must_read_head
        if is_alone or self.plan.end >= total:
            return None
        return self.plan.next()

    def _resume(self) -> PageWindow:
        """Return the window to read when nothing is pending."""
        if self._closing.is_open:
            return self.plan.head()
        offset, empty = self.frontier.offset, self._ending.empty
        if self.counts.pages == 0 and not empty:
            return self.plan.first()
        if empty:  # the list has become shorter, or its count is wrong
            offset = min(offset, self.counts.latest) - (empty - 1) * self.plan.size
        self.plan.end = max(0, offset)
        if offset < self.counts.latest:
            return self.plan.next()
        self._ending.record_reading()
        # Behind the announced end a page joins by items that it shares, or it is empty. Where a
        # list moves, the shared items show whether an item has moved to a place before its end.
        least = self.plan.size // 2 if self.has_moved else 1
        return self.plan.next(overlap=least)

    def _read(
        self, window: PageWindow, page: Page[T] | None, ready: list[Page[T]], request: Request
    ) -> ReadPage[T] | None:
        """Check *page* against the orders; return None if it is not to be joined."""
        if page is None:
            self._closing.must_read_head = True  # page 1 shows whether there is a list at all
            nothing = Pagination(window.page, window.per_page, self.counts.latest, 0, False, True)
            return ReadPage(Page((), nothing), (), offset_of(window), request)
        pagination = page.pagination
        self.counts.record(pagination)
        is_first = self.counts.pages == 1
        self.plan.fit(window, pagination, is_first=is_first)
        keys = self.joiner.candidates.check(page.items)
        if self.plan.size < MIN_PAGE:
            self.joiner.candidates.drop_all()
        order = self.order
        if is_first and not self._is_part and is_whole_list(page):
            items = self.frontier.take(page.items)
            self.duplicates, self.frontier.offset = len(page.items) - len(items), len(page.items)
            self.is_single_page = self.is_done = True
            ready.append(Page(items, pagination))
            return None
        if is_first and order is not None:
            self.joiner.is_consecutive = order.is_consecutive(keys)
            if not self.joiner.is_consecutive:
                self.plan.widen(0)
        read = read_page(page, keys, request)
        if order is None:
            self.joiner.hold(read)
            return None
        if self.frontier.key is None:
            self._order = order
        return read if order is self._order else None

    def _follow_order(self) -> None:
        """Begin again if the pages so far were joined in an order that the list does not have.

        In the order that is left, items that were dropped as read may be unread, and pages that
        were joined as neighbours may have items between them.
        """
        order, before = self.order, self._order
        self._order = order
        if order is None or order is before or self.frontier.key is None:
            return
        self.frontier.restart()
        self.joiner.clear()
        self._outdated = len(self._pending)
        self._closing.reset()
        self.is_done = False
        self.plan.widen(0)
        self.plan.end = 0

    @property
    def _has_ended(self) -> bool:
        return self.is_done or self._closing.is_open

    @property
    def _may_hide_moves(self) -> bool:
        """Whether an item may have moved to the head of the list since page 1 was read."""
        is_falling = self.order is not None and self.order.is_falling
        return self.has_moved or is_falling or self._bounds.after is not None

    def _deliver(self, joined: Iterable[Joined[T]], ready: list[Page[T]]) -> None:
        """Append the new items of *joined* to *ready*, and end if the list ends there."""
        if self._has_ended:
            return
        for read, items in joined:
            if items:
                self._ending.record_new()
                ready.append(Page(items, read.page.pagination))
            if self.frontier.has_reached_until:
                self._end(is_checked=self._may_hide_moves, is_over=True)
            elif self._ending.is_end(read, has_moved=self.has_moved):
                # An item may have moved behind the end after the end was read.
                is_certain = read.request.is_sequential or not self.has_moved
                self._end(is_checked=self._may_hide_moves, is_certain=is_certain)
            if not items and not self._has_ended:
                self._ending.record_fruitless(read)
            if self._has_ended:
                return

    def _end(self, *, is_checked: bool, is_certain: bool = True, is_over: bool = False) -> None:
        """End, unless page 1 or the end must be read once more; see `Closing.start`."""
        self.is_done = self._closing.start(
            is_needed=is_checked and self.is_complete, is_certain=is_certain, is_over=is_over
        )
        if self._has_ended:
            self.joiner.clear()

    def _close(self, read: ReadPage[T]) -> None:
        """Check page 1, which was read once more for items that have moved to the head."""
        if not read.request.is_sequential:
            return  # it was requested before the end was known
        self.joiner.probes += 1
        is_all = self.counts.latest <= self.frontier.offset
        self.is_done = self._closing.finish(fits=self.frontier.fits(read), is_all=is_all)
        if self._closing.is_broken:
            self.joiner.candidates.drop_all()
