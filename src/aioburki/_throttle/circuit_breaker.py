"""Outage: while nothing of the server answers, one request at a time asks whether it is back."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio

from .._clock import loop_time

# Three failures in a row, of more than one page, with nothing answered between: with every
# tenth request failing by chance that is one case in a thousand, and then costs a tenth of a
# second. One page alone that keeps failing says nothing of the others.
FAILURES = 3

# Probes wait 0.1, 0.3, 0.9, 2.7 s and then up to 9 s, a little apart from those of others: a
# blink costs a blink, a minute eleven probes, and after it all goes on within nine seconds.
MIN_TRIAL_WAIT = 0.1
GROWTH = 3.0
MAX_TRIAL_WAIT = 9.0
JITTER = 0.1

# An outage that outlasts so many probes for each attempt of a page is given up.
PROBES_PER_ATTEMPT = 2

LOOK_AGAIN = 0.05


class CircuitBreaker:
    """Hold requests back while the server is down, but for one probe at a time.

    One per client: an outage is the server's, not a pull's. Each page in turn gives the next
    probe, so that none uses up its attempts alone. Retries are bounded by that: an outage
    that is given up has cost one request for each that was under way, and the probes.

    Args:
        attempts: most tries for one page; an outage is given up after twice as many probes.
        draw: random numbers in [0, 1).
    """

    def __init__(self, attempts: int, *, draw: Callable[[], float] = random.random) -> None:
        self._most_probes = PROBES_PER_ATTEMPT * attempts
        self._draw = draw
        self._turn = anyio.Lock()
        self._is_probed = False
        self._failures = 0
        self._first: object = None
        self._since = 0.0
        self._probes: int | None = None  # that have failed; None while there is no outage
        self._due = 0.0

    async def admit(self) -> bool:
        """Wait until a request may go; return whether it is a probe, which `leave` must end."""
        while self._is_going_on():
            async with self._turn:
                while self._is_going_on() and (delay := self._delay()) > 0:
                    await anyio.sleep(min(delay, LOOK_AGAIN))
                if self._is_going_on():
                    self._is_probed = True
                    return True
        return False

    def leave(self) -> None:
        """Take in that the probe is no longer under way, whatever became of it."""
        self._is_probed = False

    def over(self) -> None:
        """Take in that the server has answered, or that nobody waits for it any more."""
        self._failures = 0
        self._probes = None

    def failed(self, page: object, *, is_probe: bool, retry_after: float) -> str | None:
        """Take in that a request for *page* got no answer, or a 5xx that asks for a wait or 0.

        Return None, or if the outage is given up what to say of it.
        """
        now = loop_time()
        if not self._failures:
            self._first, self._since = page, now
        self._failures += 1
        if self._probes is None:
            if self._failures >= FAILURES and page is not self._first:
                self._probes = 0
                self._due = now + max(retry_after, self._wait(0))
        elif is_probe:
            self._probes += 1
            self._due = now + max(retry_after, self._wait(self._probes))
            if self._probes >= self._most_probes:
                said = f"{self._failures} requests failed in {now - self._since:.0f} s, none passed"
                self.over()
                return said
        return None

    def probe_delay(self) -> float:
        """Return the seconds until the next probe, or 0 outside an outage."""
        return 0.0 if self._probes is None else max(0.0, self._due - loop_time())

    def _is_going_on(self) -> bool:
        return self._probes is not None

    def _delay(self) -> float:
        return LOOK_AGAIN if self._is_probed else self.probe_delay()

    def _wait(self, probes: int) -> float:
        window = min(MAX_TRIAL_WAIT, MIN_TRIAL_WAIT * GROWTH ** min(probes, 10))
        return window * (1 - JITTER * self._draw())
