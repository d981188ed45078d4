"""Options: what a view of a client may have otherwise than the client."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal, SupportsIndex

import attrs

from ._events import Event, event_handler
from ._settings import Settings, usable_attempts, usable_max_wait, usable_timeout


class Unchanged(enum.Enum):
    """The type of `UNCHANGED`, the default of an option that None would change."""

    UNCHANGED = enum.auto()

    def __repr__(self) -> str:
        return self.name


UNCHANGED: Literal[Unchanged.UNCHANGED] = Unchanged.UNCHANGED
UnchangedType = Literal[Unchanged.UNCHANGED]


@attrs.frozen
class ViewOptions:
    """The options of a view, and which of them were given.

    Attributes:
        settings: the settings of the client, with those of the view.
        on_event: called with each event, or None.
        changed: the names of the options that were given, for this view or one that it is of.
    """

    settings: Settings = attrs.field(repr=False)
    on_event: Callable[[Event], object] | None = attrs.field(repr=False)
    changed: frozenset[str] = frozenset()

    def evolve(
        self,
        *,
        timeout: float | UnchangedType,
        attempts: SupportsIndex | UnchangedType,
        max_wait: float | UnchangedType,
        on_event: Callable[[Event], object] | UnchangedType | None,
    ) -> ViewOptions:
        """Return these options with those that are given.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        changed: dict[str, Any] = {}
        if timeout is not UNCHANGED:
            changed["timeout"] = usable_timeout(timeout)
        if attempts is not UNCHANGED:
            changed["attempts"] = usable_attempts(attempts)
        if max_wait is not UNCHANGED:
            changed["max_wait"] = usable_max_wait(max_wait)
        settings = attrs.evolve(self.settings, **changed)
        names = self.changed | changed.keys()
        if on_event is UNCHANGED:
            return ViewOptions(settings, self.on_event, names)
        return ViewOptions(settings, event_handler(on_event), names | {"on_event"})

    def __str__(self) -> str:
        shown = {
            "timeout": self.settings.timeout,
            "attempts": self.settings.attempts,
            "max_wait": self.settings.max_wait,
            # The repr of a callable may show what it is bound to.
            "on_event": "None" if self.on_event is None else "...",
        }
        return ", ".join(f"{name}={value}" for name, value in shown.items() if name in self.changed)
