"""Drift: how the list of the sandbox moves with each request, as in a campaign that runs."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping

from .._errors import ConfigurationError
from .._validation import shown
from ._campaign import Campaign
from ._contact import STATUSES

DRIFTS = ("leave", "delete", "import", "append", "touch", "in_out")
"""Ways in which the list of `Sandbox(drift=…)` moves; each takes the number per request.

- ``leave``: contacts near the front get another status, so that they leave the status filter that
  is requested most; where most requests have no filter, they are removed.
- ``delete``: contacts anywhere are removed.
- ``import``: contacts with the highest ids are added; at the head where the newest come first.
- ``append``: contacts are added at the end; not where the newest come first.
- ``touch``: contacts anywhere have another attempt, which changes ``attempts`` and
  ``last_attempt_at``; with ``order="touched"`` they move to the head.
- ``in_out``: contacts anywhere leave the filter or enter it, in equal numbers on average;
  where most requests have no filter, they are removed or put back.
"""

MAX_PER_REQUEST = 10_000

# The contacts at the front among which those are drawn that leave: the next to be called.
FRONT = 100

# Maximum draws for a contact without the requested status; there may be none.
_MAX_DRAWS = 100


def drift_rates(drift: Mapping[str, float] | None) -> dict[str, float]:
    """Return the number per request for each kind of drift in *drift*.

    Raises:
        ConfigurationError: *drift* is no mapping, a name is no kind of drift, or a number is not
            from 0 to 10,000.
    """
    if drift is None:
        return {}
    if not isinstance(drift, Mapping):
        raise ConfigurationError(
            f'drift must be None or a mapping such as {{"leave": 4}}, not {shown(drift)}'
        )
    for name, number in drift.items():
        if name not in DRIFTS:
            given = repr(name[:40]) if isinstance(name, str) else shown(name)
            raise ConfigurationError(f"drift may name {', '.join(DRIFTS)}, not {given}")
        if not _is_number(number) or not 0 <= number <= MAX_PER_REQUEST:
            raise ConfigurationError(
                f"drift[{name!r}] must be a number per request from 0 to {MAX_PER_REQUEST:,}, "
                f"not {shown(number)}"
            )
    return {name: float(number) for name, number in drift.items() if number}


def parse_drift(text: str) -> dict[str, float]:
    """Return the drift that *text* describes, such as ``"leave=4,delete=0.5"``.

    Raises:
        ConfigurationError: a part is not a kind of drift, ``=``, and a number in range.
    """
    drift: dict[str, float] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, number = part.partition("=")
        name = name.strip()
        if name in drift:
            raise ConfigurationError(f"a drift may name {name[:40]!r} only once")
        try:
            drift[name] = float(number)
        except ValueError:
            raise ConfigurationError(
                "a drift must be written as NAME=NUMBER, such as leave=4,delete=0.5; "
                f"the names are {', '.join(DRIFTS)}"
            ) from None
    return drift_rates(drift)


class Drift:
    """Move the list of *campaign* with each request; the same seed gives the same moves.

    Raises:
        ConfigurationError: contacts cannot be appended to a list that has the newest first.
    """

    def __init__(self, campaign: Campaign, rates: Mapping[str, float], seed: int) -> None:
        if "append" in rates and campaign.is_newest_first:
            raise ConfigurationError(
                "drift cannot append to a list that has the newest contacts first: "
                'use "import", or another order'
            )
        self._campaign = campaign
        self._rates = rates
        self._due = dict.fromkeys(rates, 0.0)
        self._draw = random.Random(f"{seed} drift")  # noqa: S311 - reproducible, not secret
        self._requests: Counter[str | None] = Counter()
        self._removed: list[tuple[int, str]] = []
        self._moves: dict[str, Callable[[str | None], None]] = {
            "leave": self._leave,
            "delete": self._delete,
            "import": self._add,
            "append": self._add,
            "touch": self._touch,
            "in_out": self._in_or_out,
        }

    def move(self, status: str | None) -> None:
        """Move the list once, for a request of contacts of *status*, or of all contacts."""
        if not self._rates:
            return
        self._requests[status] += 1
        wanted = max(self._requests, key=lambda each: self._requests[each])
        for name, rate in self._rates.items():
            whole, self._due[name] = divmod(self._due[name] + rate, 1)
            for _ in range(int(whole)):
                self._moves[name](wanted)

    def _leave(self, status: str | None) -> None:
        if ids := self._campaign.ids(status)[:FRONT]:
            self._remove_from(status, self._draw.choice(ids))

    def _delete(self, _status: str | None) -> None:
        if ids := self._campaign.ids():
            self._campaign.remove(self._draw.choice(ids))

    def _add(self, _status: str | None) -> None:
        self._campaign.add(1)

    def _touch(self, _status: str | None) -> None:
        if ids := self._campaign.ids():
            self._campaign.touch(self._draw.choice(ids))

    def _in_or_out(self, status: str | None) -> None:
        if self._draw.random() < 0.5:
            self._come_in(status)
        elif ids := self._campaign.ids(status):
            contact_id = self._draw.choice(ids)
            if status is None:
                self._removed.append((contact_id, self._campaign.status(contact_id)))
            self._remove_from(status, contact_id)

    def _come_in(self, status: str | None) -> None:
        if status is None:
            if self._removed:
                place = self._draw.randrange(len(self._removed))
                self._campaign.restore(*self._removed.pop(place))
            return
        ids = self._campaign.ids()
        for _ in range(_MAX_DRAWS if ids else 0):
            contact_id = self._draw.choice(ids)
            if self._campaign.status(contact_id) != status:
                self._campaign.set_status(contact_id, status)
                return

    def _remove_from(self, status: str | None, contact_id: int) -> None:
        """Take a contact out of the list of *status*, or of all contacts."""
        if status is None:
            self._campaign.remove(contact_id)
        else:
            others = [each for each in STATUSES if each != status]
            self._campaign.set_status(contact_id, self._draw.choice(others))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
