"""Session: what a client and its views share: the connections, the traffic, the running pulls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any

import httpx

from ._errors import ClientClosedError
from ._events import Event
from ._loop_binding import LoopBinding
from ._network import sender_of
from ._paging import Prefetch
from ._requests import AttemptRunner, Fetcher, Sender, Traffic
from ._settings import Settings
from ._throttle import Limiter


class Session:
    """The connections, the traffic and the running pulls of a client and its views.

    Args:
        settings: those of the client.
        http_client: the user's client, or None.
        transport: the user's transport, or None.
        limiter: shares a limit among processes, or None.

    Attributes:
        running: the pulls that are running.
        is_closed: whether it is closed.
    """

    def __init__(
        self,
        settings: Settings,
        http_client: httpx.AsyncClient | None,
        transport: httpx.AsyncBaseTransport | None,
        limiter: Limiter | None,
    ) -> None:
        self._settings = settings
        self._http_client = http_client
        self._transport = transport
        self._limiter = limiter
        self.running: set[Prefetch[Any]] = set()
        self.is_closed = False

    # All are made at first use: the first anyio lock of a process takes 10 ms to make.
    @cached_property
    def sender(self) -> Sender:
        """Return what sends the requests."""
        return sender_of(self._settings, self._http_client, self._transport)

    @cached_property
    def _attempt_runner(self) -> AttemptRunner:
        return AttemptRunner(self._settings, self.sender)

    @cached_property
    def _traffic(self) -> Traffic:
        return Traffic(self._settings, self._limiter)

    @cached_property
    def _binding(self) -> LoopBinding:
        is_foreign = self._http_client is not None
        return LoopBinding(self.sender.http, is_foreign=is_foreign)

    def _enter_loop(self) -> None:
        """Use the running event loop from now on; forget what ran on another one.

        Raises:
            RuntimeError: it cannot be used on this loop.
        """
        before = self._binding.enter()
        if before is not None:
            self._leave_loop()
        self._binding.record_use()

    def _leave_loop(self) -> None:
        self._traffic.leave_loop(is_clock_continued=self._binding.is_clock_continued)
        self._attempt_runner.leave_loop()
        self._drop_left_over()

    def _drop_left_over(self) -> None:
        """Forget pulls on an event loop that was closed while they ran."""
        for prefetch in [each for each in self.running if each.is_left_over]:
            self.running.discard(prefetch)

    def fetcher(self, settings: Settings, on_event: Callable[[Event], object] | None) -> Fetcher:
        """Return a fetcher with the settings and the events of a view."""
        return Fetcher(settings, self._attempt_runner, self._traffic, on_event, self._enter_loop)

    def check_open(self) -> None:
        """Raise `ClientClosedError` if it is closed."""
        if self.is_closed:
            raise ClientClosedError("this BurkiClient is closed")

    async def aclose(self) -> None:
        """End all pulls with `ClientClosedError` and close the connections; see `BurkiClient`."""
        self.is_closed = True
        self._drop_left_over()
        self._traffic.is_closed = True
        running = list(self.running)
        for prefetch in running:
            prefetch.fail(ClientClosedError("this BurkiClient was closed during the pull"))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._binding.aclose)
            if self._http_client is None:
                stack.push_async_callback(self.sender.aclose)
            for prefetch in running:
                stack.push_async_callback(prefetch.aclose)
