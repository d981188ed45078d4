"""Busy signs: whether 503s mean that the client sends too fast, or that the server fails.

Some servers refuse requests above their rate limit with 503 instead of 429, nginx by default. Such
503s come between successes, there are many while the client sends too fast, and few once it has
slowed down. During an outage no success comes between them, and a trial request of the circuit
breaker fails. And 503s that keep coming however slowly the client sends are faults of the server:
there is no limit to find.
"""

from __future__ import annotations

from collections import deque

import attrs

from .circuit_breaker import Circuit
from .pacer import Pacer


@attrs.frozen(kw_only=True)
class BusySignsConfig:
    """The constants of `BusySigns`.

    Attributes:
        max_row: 503s for one page without a success in between that may still be a limit, if no
            other page is requested. Judgement: as many open the circuit if there are other pages.
        recent: answers of which `min_refused` must be 503s before the client slows down. Judgement:
            a client that sends faster than the limit soon gets hardly anything else, and a server
            that fails one request in ten fails seven of ten once in a hundred thousand.
        min_refused: how many.
        rows: rows of 503s after which it is judged whether slowing down has helped. Arithmetic: a
            limit of a request per second is found with four cuts of the first rate; the others are
            the first row and measurements.
        min_successes: successes between two of these rows, on average, if it has. Judgement: a
            measured limit has some hundred between two refusals.
        quiet: successes without a 503 after which the next one may be a limit again. Judgement.
    """

    max_row: int = 3
    recent: int = 10
    min_refused: int = 7
    rows: int = 8
    min_successes: int = 10
    quiet: int = 100


class BusySigns:
    """Judge 503s by the successes between them. One per client.

    Args:
        pacer: gets the 503s that are a limit, as if they were 429s.
        config: the constants.
    """

    def __init__(self, pacer: Pacer, config: BusySignsConfig | None = None) -> None:
        self._pacer = pacer
        self._config = config or BusySignsConfig()
        self._recent: deque[bool] = deque(maxlen=self._config.recent)  # whether each was a 503
        self._has_passed = False  # whether there was a success since the last outage
        self._row: tuple[float, int] | None = None  # of the request that got the row's first 503
        self._is_limit = False
        self._are_faults = False
        self._successes = 0  # since the last row of 503s
        self._rows: deque[int] = deque(maxlen=self._config.rows)  # successes before each

    def record_busy(self, sent: float, in_flight: int, circuit: Circuit) -> bool:
        """Record a 503; return whether it may be a limit, so that it is no attempt.

        Args:
            sent: when its request was sent.
            in_flight: how many requests were in flight then, with it.
            circuit: the circuit breaker's, after it.
        """
        self._recent.append(True)
        is_alone = circuit.is_closed and circuit.failures > self._config.max_row
        if circuit.failed_trials or is_alone:  # an outage
            self._has_passed, self._row = False, None
        if not self._has_passed or self._are_faults:
            self._successes = 0
            return False
        if self._row is None:
            self._row = sent, in_flight
        return True

    def record_success(self) -> None:
        """Record that a page has come. It ends a row of 503s, which then was no outage."""
        if self._row is not None:
            self._record_row(*self._row)
            self._row = None
        self._recent.append(False)
        self._successes += 1
        self._has_passed = True
        if self._are_faults and self._successes >= self._config.quiet:
            self._are_faults = False

    def _record_row(self, sent: float, in_flight: int) -> None:
        config, successes = self._config, self._successes
        self._successes = 0
        if not self._pacer.is_limited or not self._is_limit:
            self._rows.clear()
            self._is_limit = sum(self._recent) >= config.min_refused
        if not self._is_limit:
            return
        self._rows.append(successes)
        is_full = len(self._rows) == config.rows
        if is_full and sum(self._rows) < config.min_successes * config.rows:
            self._are_faults, self._is_limit = True, False
            self._pacer.forget_limit()
        elif not self._pacer.record_surplus(sent, in_flight):
            self._pacer.record_refusal(sent, 0.0)
