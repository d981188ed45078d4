"""Event sender: each event as a log record, and as a call of the user's ``on_event``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import attrs

from ._events import Event, PullFinished, error_text

logger = logging.getLogger("aioburki")


class EventSender:
    """Log events, and call *on_event*, if it is given, with each of them.

    Args:
        on_event: called with each event, or None. What it raises is logged, and harms nothing.
    """

    def __init__(self, on_event: Callable[[Event], object] | None) -> None:
        self._on_event = on_event

    def is_wanted(self, level: int) -> bool:
        """Return whether anything becomes of an event whose log record is of *level*."""
        return self._on_event is not None or logger.isEnabledFor(level)

    def send(self, event: Event, level: int, text: str, *args: object) -> None:
        """Log *text*, with the attributes of *event* as ``extra``, then call ``on_event``."""
        if logger.isEnabledFor(level):
            logger.log(level, text, *args, extra=log_fields(event))
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        # Also what the result of a cancelled future raises.
        except (Exception, asyncio.CancelledError):  # a callback's error must not end the pull
            logger.exception("on_event failed for %s", type(event).__name__)


def log_fields(event: Event) -> dict[str, Any]:
    """Return the attributes of *event* for a log record, as plain data; no name is a record's own.

    ``event_type`` is the name of its class. Those of a report are beside the others; the error of a
    pull is its text.
    """
    fields = attrs.asdict(event, recurse=False)
    if isinstance(event, PullFinished):
        fields |= attrs.asdict(fields.pop("report"))
        fields["error"] = None if event.error is None else error_text(event.error)
    return fields | {"event_type": type(event).__name__}
