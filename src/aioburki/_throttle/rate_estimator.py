"""Rate estimator: the request rate that the server allows, measured from its 429s.

**Principle.** A server that limits a rate keeps a token bucket: each request takes a token, tokens
are refilled at a fixed rate up to a burst, and a 429 means that the token bucket is empty. Between
two 429s the bucket went from empty to empty, so the requests that passed between them are the
tokens that were refilled: requests / seconds is the refill rate, to within one request at each end,
whatever the burst is and whatever rate we sent at. This holds only if the bucket was never full
meanwhile: tokens that overflow are not seen. So most rules below answer the question whether it can
have been full.

**No limit known.** Until the first 429 no request is held back. The number that passes until then
is an estimate of the burst, of which no more than `max_burst` is relied on.

**Search.** After the first 429 the rate starts at `first_rate` and grows by `search_gain` with each
request that passes, but does not double faster than in `min_doubling_time` seconds or in
`doubling_round_trips` round trips, because results come that late. It is never below what has
passed since the bucket was empty, which is a lower bound of the limit. The next 429 measures the
limit. If the search was so slow at first that the bucket may have been full, the measurement is
only a lower bound, and the search goes on from it. A search that reaches `max_rate` ends: there is
no limit.

**Measurement.** A 429 ends a *span* (the time since the bucket was last empty) and starts the next.
Requests sent before the one that got the 429, and not answered yet, count as passed: a refusal may
be answered sooner than a page. A span that is too short, or in which requests paused for too long,
measures nothing: a search is then reduced, though not below what has passed, and the span goes on
or starts anew. A measured limit is kept, unless fewer requests passed than it allows in the time
without pauses: then the limit was lowered, and a search starts below it. Measurements that
agree within `noise` are averaged over some `memory` requests; one that does not agree replaces
them, because the limit has changed. The *uncertainty* of the result is a share of it:
`counting_error` / requests.

**Sweep.** With the limit measured, the rate rises from limit x (1 - uncertainty) to limit x (1 +
uncertainty) over up to `max_sweep` requests. Below the limit the bucket fills a little, above it
the bucket empties, so that about one request in `max_sweep` gets a 429 and measures again. If no
429 comes, the rate goes on rising by the square: the limit is higher than it was. So it is if more
requests pass than a bucket of the measured rate can give: then a new search starts from the present
rate.

**Quota periods.** A server that refuses everything for `min_shut` seconds or longer counts requests
per period. What passed between two openings, divided by the time between them, is its rate.

Pure: every method gets the time. *now* is when the answer came and *sent* when its request was
sent, in seconds of a clock that never goes back. Measurements use the time of sending: a 429 may
arrive sooner than a page, but the server counted both in the order in which they were sent.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import attrs

from .rate_estimator_config import RateEstimatorConfig


@attrs.define
class _Span:
    """The time since the bucket was last empty, and what has passed in it.

    *paused* is in seconds. *is_measure* is False if the bucket may have been full at the start or
    later, so that the span measures nothing.
    """

    start: float
    first_rate: float = math.inf
    passed: int = 0
    last_sent: float = -math.inf
    paused: float = 0.0
    is_measure: bool = True


class RateEstimator:
    """Estimate the rate that the server allows, from the requests that passed and the 429s.

    Args:
        config: the constants.

    Attributes:
        round_trip: mean time from a request to its answer, in seconds; 0 before the first answer.
    """

    def __init__(self, config: RateEstimatorConfig | None = None) -> None:
        self.round_trip = 0.0
        self._config = config or RateEstimatorConfig()
        self._burst = 0  # requests that passed before the first 429
        self._search: float | None = None  # the rate while it searches, requests per second
        self._measured: float | None = None  # the limit, requests per second
        self._uncertainty = self._config.max_uncertainty
        self._requests = 0.0  # of which `_measured` is the mean, and the seconds that they took
        self._seconds = 0.0
        self._opened = -math.inf
        self._passed_since_opening = 0
        self._unanswered: list[float] = []  # when the requests were sent, in order
        self._span = _Span(-math.inf, is_measure=False)

    def rate(self, now: float) -> float:
        """Return the requests per second that may be sent; infinity while no limit is known."""
        if self._search is not None:
            return max(self._search, self._proven_rate(now))
        if self._measured is None:
            return math.inf
        config = self._config
        # The first half of a sweep then saves half of the usable burst: length x uncertainty / 4.
        length = min(config.max_sweep, 2 * self._usable_burst() / self._uncertainty)
        swept = self._span.passed / length
        beyond = max(0.0, swept - 1.0)
        offset = 2 * swept - 1 + config.overshoot_growth * beyond**2
        return self._measured * (1 + self._uncertainty * offset)

    def record_sent(self, sent: float) -> None:
        """Record that a request is sent at *sent*."""
        self._unanswered.append(sent)

    def record_end(self, sent: float) -> None:
        """Record that the last request sent at *sent* or before has ended, by whatever outcome."""
        if place := bisect_right(self._unanswered, sent):
            del self._unanswered[place - 1]

    def record_success(self, now: float, sent: float) -> None:
        """Record that a request sent at *sent* passed: it was not refused for its rate."""
        weight = self._config.round_trip_weight if self.round_trip else 1.0
        self.round_trip += (now - sent - self.round_trip) * weight
        if sent <= self._span.start:
            self._burst += self._measured is None
            return
        self._burst += self.rate(now) == math.inf
        if self._opened == -math.inf:
            self._opened = sent
        span = self._span
        span.passed += 1
        span.last_sent = max(span.last_sent, sent)
        self._passed_since_opening += 1
        if self._search is not None:
            self._raise_search(self._search)
        elif self._measured is not None and span.is_measure:
            excess = span.passed - self._measured * (span.last_sent - span.start)
            if excess > self._config.max_excess + span.passed * self._uncertainty:
                self._search = self.rate(now)
                span.is_measure = False

    def record_refusal(self, now: float, sent: float) -> None:
        """Record a 429 to a request sent at *sent*: the first one after requests had passed."""
        rate, span, config = self.rate(now), self._span, self._config
        seconds = max(sent - span.start, config.min_proven_time)  # coarse clocks stand still
        # Refusals may come sooner than pages: what was sent before this one is still to pass.
        passed = span.passed + self._sent_between(span.start, sent)
        if not span.is_measure or span.paused > config.max_paused * seconds:
            if rate == math.inf:
                self._search = config.first_rate
            elif self._search is not None or self._is_refuted(passed, seconds):
                self._search = max(passed / seconds, rate * config.cut)
            self._start_span(sent)
        elif passed < self._min_measured(seconds):
            self._search = max(self._proven_rate(now), config.short_span_cut * rate)
        else:
            span.passed = passed
            self._record_measure(span, seconds, rate)
            self._start_span(sent)

    def _record_measure(self, span: _Span, seconds: float, rate: float) -> None:
        """Record what *span*, at the end of which the bucket is empty again, says of the limit."""
        if self._search is not None and not self._is_exact(span, seconds):
            self._search = max(span.passed / seconds, rate * self._config.cut)
        else:
            self._measure(span, seconds, rate)
            self._search = None

    def record_reopening(self, sent: float, shut: float) -> None:
        """Record that a request sent at *sent* passed after *shut* seconds of 429s alone.

        If the server was shut for so long that it counts per quota period, all that passed since
        the previous opening is what a period allows.
        """
        config, seconds = self._config, max(sent - self._opened, self._config.min_proven_time)
        if shut >= config.min_shut and self._passed_since_opening >= config.min_measured:
            self._set_measured(self._passed_since_opening / seconds, config.min_uncertainty)
            self._search = None
            self._start_span(sent)
            self._span.is_measure = False
        self._opened, self._passed_since_opening = sent, 0

    def record_pause(self, seconds: float) -> None:
        """Record that no request is sent for so many seconds: the bucket may become full."""
        self._span.paused += seconds

    def doubt(self) -> None:
        """Sweep widely: the limit that was measured may be none of a rate."""
        self._uncertainty = self._config.max_uncertainty

    def search_behind(self, now: float, in_flight: int) -> None:
        """Search upwards from the rate that passed with *in_flight* requests, if it is lower."""
        passed = in_flight / max(self.round_trip, self._config.min_proven_time)
        self._search = min(passed, self.rate(now))
        self._span.is_measure = False

    def forget_limit(self) -> None:
        """Return to the state in which no limit is known."""
        self._search = self._measured = None
        self._span.is_measure = False

    def _sent_between(self, start: float, end: float) -> int:
        """Return how many unanswered requests were sent after *start* and before *end*."""
        sent = self._unanswered
        return max(0, bisect_left(sent, end) - bisect_right(sent, start))

    def _is_refuted(self, passed: int, seconds: float) -> bool:
        """Return whether the limit is lower than measured: fewer have passed than it would allow.

        That is in the time in which requests were sent; pauses only fill the bucket.
        """
        allowed = (self._measured or 0.0) * (seconds - self._span.paused)
        return passed + self._config.counting_error < allowed

    def _start_span(self, sent: float) -> None:
        del self._unanswered[: bisect_right(self._unanswered, sent)]
        self._span = _Span(sent)
        self._span.first_rate = self.rate(sent)

    def _raise_search(self, rate: float) -> None:
        self._search = rate + min(self._config.search_gain * rate, self._max_gain())
        if self._search > self._config.max_rate:
            self.forget_limit()

    def _max_gain(self) -> float:
        """Return by how much the search may grow with one request, in requests per second.

        Each second adds it *rate* times, so the rate doubles in ln 2 / gain seconds.
        """
        config = self._config
        round_trips = config.doubling_round_trips * self.round_trip
        return math.log(2) / max(config.min_doubling_time, round_trips)

    def _proven_rate(self, now: float) -> float:
        """Return the rate that passed since the bucket was empty; the limit is not lower."""
        if not self._span.is_measure:
            return 0.0
        answered = now - self.round_trip - self._span.start
        return self._span.passed / max(answered, self.round_trip, self._config.min_proven_time)

    def _min_measured(self, seconds: float) -> int:
        """Return how many requests must have passed in so many seconds to measure the limit."""
        config = self._config
        long_enough = max(config.min_measure_time, config.measure_round_trips * self.round_trip)
        return config.min_measured_if_short if seconds < long_enough else config.min_measured

    def _usable_burst(self) -> float:
        return min(self._config.max_burst, max(self._config.min_burst, self._burst))

    def _is_exact(self, span: _Span, seconds: float) -> bool:
        """Return whether the bucket cannot have been full in *span*.

        That is whether all tokens saved while the rate was below the limit fit into the bucket.
        """
        measured, first = span.passed / seconds, span.first_rate
        ratio = measured / first
        if ratio <= 1:
            saved = 0.0
        elif self._search is None:  # the rate grew linearly: a triangle over the span at most
            saved = span.passed * (1 - 1 / ratio) / 2
        else:  # the sum of measured / rate - 1, while the rate grew by the smaller of two gains
            saved = (measured - first) * self.round_trip + max(  # before the first result
                (ratio - 1 - math.log(ratio)) / self._config.search_gain,
                (measured * math.log(ratio) - measured + first) / self._max_gain(),
            )
        return saved <= self._usable_burst()

    def _measure(self, span: _Span, seconds: float, rate: float) -> None:
        config, measured = self._config, span.passed / seconds
        known = None if self._search is not None else self._measured
        if span.paused > config.some_paused * seconds:
            self._set_measured(measured, config.max_uncertainty)
        elif known is None:
            self._set_measured(measured, config.counting_error / span.passed)
        elif rate > config.overshoot * known * (1 + self._uncertainty) and not self._is_exact(
            span, seconds
        ):
            # Tokens overflowed while the rate was too low, so the limit is above what passed.
            self._set_measured((measured + rate) / 2, (rate - measured) / (rate + measured))
        else:
            self._average(span.passed, seconds, known)

    def _average(self, passed: int, seconds: float, known: float) -> None:
        config = self._config
        if abs(passed - known * seconds) > config.counting_error + config.noise * passed:
            self._requests = self._seconds = 0.0
        self._requests += passed
        self._seconds += seconds
        if self._requests > config.memory:  # so that old measurements lose weight
            self._requests, self._seconds = self._requests / 2, self._seconds / 2
        self._measured = self._requests / self._seconds
        self._uncertainty = self._bounded(config.counting_error / self._requests)

    def _set_measured(self, measured: float, uncertainty: float) -> None:
        self._measured = measured
        self._uncertainty = self._bounded(uncertainty)
        self._requests = self._seconds = 0.0

    def _bounded(self, uncertainty: float) -> float:
        return min(self._config.max_uncertainty, max(self._config.min_uncertainty, uncertainty))
