"""Concurrency estimator: how many requests in flight the server allows, learned from its refusals.

Some servers limit the requests in progress instead of their rate, such as nginx with `limit_conn`
(https://nginx.org/en/docs/http/ngx_http_limit_conn_module.html). No rate keeps such a limit: at
half of the possible rate, too many are in flight together every now and then.

**Principle.** Such a server refuses every request that comes while so many are in progress, and no
other. A server that limits a rate refuses without regard to how many are in flight. So if the
requests that were refused last had more in flight than nearly all that passed, and many more than
those had on average, the number in flight is the limit.

**Trial.** While the learned number is kept nothing is refused, so nothing would be learned. After
some successes one more is allowed, for as long as none is refused. A refusal outside a trial, with
no more than the learned number in flight, refutes it, if a request has passed since the last
refusals, or if there have been more of these than can be in flight: then the server refuses
everything. The number is forgotten, and twice as many moments of refusal are needed to learn one
again. So a rate limit that is taken for this one costs little: the learned number holds about as
many as the rate allows.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from statistics import median_low

import attrs


@attrs.frozen(kw_only=True)
class ConcurrencyEstimatorConfig:
    """The constants of `ConcurrencyEstimator`.

    Attributes:
        min_moments: moments of refusal from which the number is learned: the last so many count.
            Judgement: with one, every rate limit would be taken for it at the first 429.
        max_above: share of the successes that may have had more in flight than the learned number.
            Judgement: an answer on its way to the client still counts as in flight.
        min_mean: factor by which a request above the learned number must have more in flight than
            those that passed have on average. Measured: a rate limit refuses at 1.1 to 1.3 times
            the average, where requests come closer together by chance.
        min_quiet: successes with as many in flight as allowed until one more is tried. Judgement:
            a number learned too low is mended within some seconds.
        max_quiet: to so many they double with each trial that fails. Arithmetic: one refusal in 500
            is 0.2 %, as with a measured rate.
        trial: successes in a trial after which one more is kept, and the next is tried. Judgement.
        memory: successes after which each counts half. Arithmetic: two sweeps of a rate.
    """

    min_moments: int = 2
    max_above: float = 0.1
    min_mean: float = 1.4
    min_quiet: int = 50
    max_quiet: int = 500
    trial: int = 20
    memory: int = 1000


class ConcurrencyEstimator:
    """Learn how many requests in flight the server allows. Pure: holds numbers only.

    *in_flight* is the number of requests in flight when a request was sent, with itself.

    Args:
        config: the constants.
    """

    def __init__(self, config: ConcurrencyEstimatorConfig | None = None) -> None:
        self._config = config or ConcurrencyEstimatorConfig()
        self._min_moments = self._config.min_moments
        self._successes: Counter[int] = Counter()  # by the number in flight
        self._moments: deque[list[int]] = deque(maxlen=self._min_moments)  # of refusal
        self._last_refusal = -math.inf  # when the first refusal of the last moment came
        self._has_passed = True  # whether a request sent since then has passed
        self._row = 0  # refusals since a request has passed
        self._learned: int | None = None
        self._is_trial = False
        self._quiet = self._config.min_quiet
        self._full = 0  # successes with as many in flight as allowed

    @property
    def max_in_flight(self) -> int | None:
        """Return how many requests may be in flight, or None if no such limit is known."""
        return None if self._learned is None else self._learned + self._is_trial

    def record_success(self, sent: float, in_flight: int) -> None:
        """Record that a request sent at *sent* passed."""
        self._has_passed = self._has_passed or sent >= self._last_refusal
        if self._learned is None:
            self._successes[in_flight] += 1
            if self._successes.total() > self._config.memory:
                for count in list(self._successes):
                    self._successes[count] //= 2
        elif in_flight >= self._learned + self._is_trial:
            self._full += 1
            if self._full >= (self._config.trial if self._is_trial else self._quiet):
                self._learned += self._is_trial
                self._is_trial = True
                self._full = 0

    def record_refusal(self, now: float, sent: float, in_flight: int) -> bool:
        """Record a refusal; return whether the number of requests in flight is the reason.

        Args:
            now: the time, in seconds of a clock that never goes back.
            sent: when its request was sent.
            in_flight: see above.
        """
        is_new = self._has_passed and sent >= self._last_refusal
        if is_new:
            self._last_refusal = now
            self._has_passed = False
            self._row = 0
        self._row += 1
        if self._learned is None:
            if is_new or not self._moments:
                self._moments.append([])
            self._moments[-1].append(in_flight)
            if len(self._moments) >= self._min_moments:
                self._learn()
            return self._learned is not None
        if self._is_trial:
            self._end_trial()
        elif in_flight <= self._learned and (is_new or self._row > self._learned):
            self.forget()
            self._min_moments *= 2
            self._moments = deque(maxlen=self._min_moments)
            return False
        return True

    def forget(self) -> None:
        """Return to the state in which nothing has been learned."""
        self._learned = None
        self._is_trial = False
        self._full = 0
        self._quiet = self._config.min_quiet
        self._successes.clear()
        self._moments.clear()

    def _end_trial(self) -> None:
        self._is_trial = False
        self._full = 0
        self._quiet = min(2 * self._quiet, self._config.max_quiet)

    def _learn(self) -> None:
        """Learn the lowest number that nearly all successes had at most, if refusals had more."""
        above, total = 0, self._successes.total()
        lowest = max(self._successes, default=0)
        while lowest and above + self._successes[lowest] <= self._config.max_above * total:
            above += self._successes[lowest]
            lowest -= 1
        mean = sum(count * number for count, number in self._successes.items()) / max(1, total)
        is_above = all(median_low(refusals) > lowest for refusals in self._moments)
        if lowest > 0 and lowest + 1 >= self._config.min_mean * mean and is_above:
            self.forget()
            self._learned = lowest
