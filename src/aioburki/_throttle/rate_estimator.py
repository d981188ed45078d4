"""Limit: the rate a server allows, found from what it lets pass and what it refuses.

A 429 says one thing exactly: the server's bucket is empty *now*. Between two such moments the
requests let pass are limit x time, to within one, however large the bucket is and whatever our
own rate was. So the limit is not felt for, it is measured:

- nothing was refused yet: no limit;
- after the first refusal the rate starts low and *searches* upwards until the next one. What
  passed between the two is the limit;
- from then on the rate *sweeps* from a little below what was measured to a little above, where
  one refusal measures again, over hundreds of requests and so within half a percent.

Arithmetic only. Times are seconds of a clock that does not go back, and those at which requests
were *sent*: a refusal may be answered sooner than a page, but it was decided in its turn.
"""

from __future__ import annotations

import math

import attrs

# A search starts low enough for the limits that APIs give a single user, and gains a twentieth
# with each request that passes, but does not double faster than it hears of what it does.
FIRST_RATE = 10.0
GAIN = 0.05
DOUBLING = 0.5
ROUND_TRIPS_TO_DOUBLE = 2

# A sweep costs one refusal: one in 500 requests is a fifth of a percent. It ends at least so
# far above what was measured that the bucket runs dry, and never starts further below than
# a bucket can save up.
MAX_SWEEP = 500
MIN_DOUBT = 0.02
MAX_DOUBT = 0.2

# Beyond its end a sweep grows by the square: the limit is not where it was.
RISE = 8.0

# More requests than that above what a measured limit lets pass, and it has risen.
OVERDRAFT = 3.0

# Buckets hold five requests at least, or nobody could open a web page; of the size of a large
# one no more than this is made use of.
MIN_BURST, MAX_BURST = 5, 10

# What is measured over less than this is chance: in requests, or in time, because answers
# come a round trip late.
MIN_MEASURED = 3
ENOUGH_MEASURED = 20
MIN_MEASURE_SECONDS = 0.25
ROUND_TRIPS_TO_MEASURE = 4

# Refused before anything could be measured: too fast by an unknown factor.
SLOW_DOWN = 0.65

# Two measurements that differ by more are of two limits.
NOISE = 0.05

# A bucket lets something pass within a second or so. What stays shut for longer is a window.
SHUT_WINDOW = 2.0

# Pauses of more than this share of the time may have let enough run over to make a measurement
# doubtful, and of more than that, to make it none.
SOME_PAUSED, MAX_PAUSED = 0.1, 0.5

# Faster than anything refuses: there was no limit.
UNLIMITED = 10_000.0


@attrs.define
class _Span:
    """The time since the bucket was last empty, and what has passed in it."""

    start: float
    first_rate: float = math.inf
    passed: int = 0
    last_sent: float = -math.inf
    paused: float = 0.0
    # False if the bucket may have been full at its start or meanwhile.
    is_measure: bool = True


class RateEstimator:
    """Tell how fast requests may go, from what became of those before.

    `round_trip` is the mean time from a request to its answer, in seconds; 0 before the first.
    """

    def __init__(self) -> None:
        self.round_trip = 0.0
        self._burst = 0
        self._search: float | None = None
        self._measured: float | None = None
        self._doubt = MAX_DOUBT
        self._requests = 0.0  # that `_measured` is the mean of, and their seconds
        self._seconds = 0.0
        self._opened = -math.inf
        self._passed_since_opening = 0
        self._span = _Span(-math.inf, is_measure=False)

    def rate(self, now: float) -> float:
        """Return how many requests a second may go; infinity while no limit is known."""
        if self._search is not None:
            return max(self._search, self._proven(now))
        if self._measured is None:
            return math.inf
        swept = self._span.passed / min(MAX_SWEEP, 2 * self._tokens() / self._doubt)
        beyond = max(0.0, swept - 1.0)
        return self._measured * (1 + self._doubt * (2 * swept - 1 + RISE * beyond**2))

    def passed(self, now: float, sent: float) -> None:
        """Take in that a request sent at *sent* was let pass."""
        self.round_trip += (now - sent - self.round_trip) * (0.1 if self.round_trip else 1.0)
        if sent <= self._span.start:
            self._count_late()
            return
        self._burst += self.rate(now) == math.inf
        if self._opened == -math.inf:
            self._opened = sent
        span = self._span
        span.passed += 1
        span.last_sent = max(span.last_sent, sent)
        self._passed_since_opening += 1
        if self._search is not None:
            self._grow(self._search)
        elif self._measured is not None and span.is_measure:
            above = span.passed - self._measured * (span.last_sent - span.start)
            if above > OVERDRAFT + span.passed * self._doubt:
                self._search = self.rate(now)
                span.is_measure = False

    def refused(self, now: float, sent: float) -> None:
        """Take in that a request sent at *sent* was refused, the first after some had passed."""
        rate, span, seconds = self.rate(now), self._span, sent - self._span.start
        if not span.is_measure or span.paused > MAX_PAUSED * seconds:
            if self._search is not None or self._measured is None:
                self._search = FIRST_RATE if rate == math.inf else rate / 2
            self._start_span(sent)
        elif span.passed < self._fewest(seconds):
            self._search = max(self._proven(now), SLOW_DOWN * rate)
        elif self._search is not None and not self._is_exact(span, seconds):
            self._search = max(span.passed / seconds, rate / 2)
            self._start_span(sent)
        else:
            self._measure(span, seconds, rate)
            self._search = None
            self._start_span(sent)

    def reopened(self, sent: float, shut: float) -> None:
        """Take in that after *shut* seconds of refusals alone a request sent at *sent* passed.

        A window that opens again has let pass all it does since it opened the last time.
        """
        seconds = sent - self._opened
        if shut >= SHUT_WINDOW and self._passed_since_opening >= MIN_MEASURED:
            self._set(self._passed_since_opening / seconds, MIN_DOUBT)
            self._search = None
            self._start_span(sent)
            self._span.is_measure = False
        self._opened, self._passed_since_opening = sent, 0

    def paused(self, seconds: float) -> None:
        """Take in that no request goes for so long, so that the bucket may run over."""
        self._span.paused += seconds

    def _start_span(self, sent: float) -> None:
        self._span = _Span(sent)
        self._span.first_rate = self.rate(sent)

    def _grow(self, rate: float) -> None:
        self._search = rate + min(GAIN * rate, self._largest_gain())
        if self._search > UNLIMITED:
            self._search = self._measured = None
            self._span.is_measure = False

    def _largest_gain(self) -> float:
        return math.log(2) / max(DOUBLING, ROUND_TRIPS_TO_DOUBLE * self.round_trip)

    def _proven(self, now: float) -> float:
        """Return the rate that has passed since the bucket was empty: the limit is no less."""
        if not self._span.is_measure:
            return 0.0
        answered = now - self.round_trip - self._span.start
        return self._span.passed / max(answered, self.round_trip, 1e-3)

    def _fewest(self, seconds: float) -> int:
        shortest = max(MIN_MEASURE_SECONDS, ROUND_TRIPS_TO_MEASURE * self.round_trip)
        return ENOUGH_MEASURED if seconds < shortest else MIN_MEASURED

    def _tokens(self) -> float:
        return min(MAX_BURST, max(MIN_BURST, self._burst))

    def _is_exact(self, span: _Span, seconds: float) -> bool:
        """Tell whether the bucket can have held all that was saved while we were slower."""
        measured, first = span.passed / seconds, span.first_rate
        share = measured / first
        if share <= 1:
            saved = 0.0
        elif self._search is None:
            saved = span.passed * (1 - 1 / share) / 4
        else:  # the sum of measured / rate - 1, while the rate grew by the lesser of two gains
            saved = max(
                (share - 1 - math.log(share)) / GAIN,
                (measured * math.log(share) - measured + first) / self._largest_gain(),
            )
        return saved <= self._tokens()

    def _measure(self, span: _Span, seconds: float, rate: float) -> None:
        measured = span.passed / seconds
        known = None if self._search is not None else self._measured
        if span.paused > SOME_PAUSED * seconds:
            self._set(measured, MAX_DOUBT)
        elif known is None:
            self._set(measured, 2 / span.passed)
        elif rate > 1.1 * known * (1 + self._doubt) and not self._is_exact(span, seconds):
            # Some was lost while we were too slow, so the limit is above what passed.
            self._set((measured + rate) / 2, (rate - measured) / (rate + measured))
        else:
            self._refine(span.passed, seconds, known)

    def _refine(self, passed: int, seconds: float, known: float) -> None:
        if abs(passed - known * seconds) > 2 + NOISE * passed:
            self._requests = self._seconds = 0.0
        self._requests += passed
        self._seconds += seconds
        if self._requests > 2 * MAX_SWEEP:  # what is long ago counts less and less
            self._requests, self._seconds = self._requests / 2, self._seconds / 2
        self._measured = self._requests / self._seconds
        self._doubt = min(MAX_DOUBT, max(MIN_DOUBT, 2 / self._requests))

    def _set(self, measured: float, doubt: float) -> None:
        self._measured = measured
        self._doubt = min(MAX_DOUBT, max(MIN_DOUBT, doubt))
        self._requests = self._seconds = 0.0

    def _count_late(self) -> None:
        """Count a request that passed before the last refusal, but is answered after it."""
        self._burst += self._measured is None
        if self._requests and self._search is None:
            self._requests += 1
            self._measured = self._requests / self._seconds
