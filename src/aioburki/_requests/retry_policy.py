"""Retry policy: what follows a failed attempt, and how long to wait before it.

`RetryPolicy.decide` maps a `Failure` and a `RetryState` to one of three decisions:

- `Retry`: the failure is transient. Another attempt after a back-off, after the wait that the
  server asks for, or with the next trial request if the circuit is open.
- `Pause`: a 429. It is no attempt. The refused request waits; all requests of the client wait too
  if the server asks for more than `max_single_wait` seconds, or if no request has passed since the
  last 429.
- `GiveUp`: the error is raised. The failure is not transient; or `attempts` are used up; or the
  server asks for more than *max_wait* seconds; or it has refused everything for *max_wait* seconds;
  or the trial requests of an outage, or the attempts of one page during it, are used up. In these
  last cases all requests of the client are given up that wait meanwhile.

`wait_for_quota` says how long to wait for what the server's headers leave of its quota, and
`decide_wait` whether to: as after a failure, no longer than *max_wait* seconds.

Pure: no clock, no event loop, no random numbers of its own. `Failure.retry_after` is the wait that
the server asks for, from Retry-After or, for a 429, from its quota headers: both are treated alike.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .._errors import RateLimitError
from .._events import PauseReason
from .._throttle import Circuit, QuotaState, Refusal, ServerWait
from .decisions import Decision, GiveUp, Pause, Retry
from .failures import Failure
from .retry_policy_config import DEFAULTS, RetryPolicyConfig

# Keeps the powers below from overflowing; every range has reached its maximum long before.
_MAX_EXPONENT = 10


@attrs.frozen(kw_only=True)
class RetryState:
    """What is known besides the failure. The counts include it.

    Attributes:
        now: the loop's time, in seconds.
        failures: failed attempts for the page, without 429s and without those counted in `busy`.
        busy: 503s for the page that may be a limit, which are no attempts either.
        refusals: 429s for the page.
        refusal: what the pacer says of this 429; None if the failure is no 429.
        circuit: the circuit after this failure; None if the failure is no sign of an outage.
        failing_since: the loop's time of the first sign of an outage for the page; None for none.
    """

    now: float = 0.0
    failures: int = 0
    busy: int = 0
    refusals: int = 0
    refusal: Refusal | None = None
    circuit: Circuit | None = None
    failing_since: float | None = None


class RetryPolicy:
    """Decide what follows a failed attempt.

    Args:
        attempts: maximum number of attempts for one page, from 1; 429s are not counted.
        max_wait: seconds, the longest wait that the server may cause.
        config: the constants.
    """

    def __init__(
        self, attempts: int, max_wait: float, config: RetryPolicyConfig = DEFAULTS
    ) -> None:
        self._attempts = attempts
        self._max_wait = max_wait
        self._config = config

    def decide(self, failure: Failure, state: RetryState, draw: Callable[[], float]) -> Decision:
        """Return what follows *failure*.

        *draw* returns random numbers in [0, 1), for the jitter. It is called once for a `Retry`,
        and once or twice for a `Pause`.
        """
        if failure.retry_after is not None and failure.retry_after > self._max_wait:
            return GiveUp(error=failure.error, explanation=failure.asked_wait)
        if state.refusal is not None:
            return self._after_refusal(failure, state, state.refusal, draw)
        if state.circuit is not None and self._is_given_up(state.circuit, state):
            return GiveUp(
                error=failure.error,
                explanation=_outage(state.circuit, state.now),
                is_unavailable=True,
            )
        if not failure.transient or state.failures >= self._attempts:
            return GiveUp(error=failure.error)
        tries = max(1, state.failures + state.busy)
        delay = max(failure.retry_after or 0.0, back_off(tries, draw(), self._config))
        if state.circuit is not None:
            delay = state.circuit.delay(state.now) or delay
        return Retry(delay=delay, reason=failure.reason, detail=failure.error.message)

    def wait_for_quota(self, quota: QuotaState) -> float:
        """Return the seconds to wait before the next request, because of the server's *quota*.

        A period that ends within `max_wait` seconds is used up as fast as requests come; then they
        wait for its end. Of a longer period, the first half is used up as fast as requests come and
        the second half is spread evenly over the rest of the period, because its end is too far
        away to wait for. So it is used up without spreading if that would take more than `max_wait`
        seconds for each request.
        """
        if quota.left <= 0:
            return quota.rest
        if self.spread(quota) < quota.left:
            return 0.0
        return max(0.0, quota.rest / quota.left - quota.idle)

    def spread(self, quota: QuotaState) -> int:
        """Return how many of the requests left of *quota* are, or will be, spread evenly."""
        spread = min(quota.left, int(quota.limit * self._config.spread_share))
        interval = quota.rest / spread if spread > 0 else 0.0
        return 0 if quota.rest <= self._max_wait or interval > self._max_wait else spread

    def decide_wait(self, wait: ServerWait) -> Pause | GiveUp:
        """Return what follows from a wait that the server causes before a request is sent."""
        if wait.seconds <= self._max_wait or not wait.is_quota:
            return Pause(
                delay=wait.seconds, pause_all=wait.seconds, is_new=True, reason=_reason(wait)
            )
        error = RateLimitError(wait.refusal, status_code=429)
        error.retry_after = wait.seconds
        return GiveUp(error=error)

    def _after_refusal(
        self, failure: Failure, state: RetryState, refusal: Refusal, draw: Callable[[], float]
    ) -> Pause | GiveUp:
        pause_all = pause_for_all(refusal, failure.retry_after, draw, self._config)
        delay = wait_of_refused(state.refusals, failure.retry_after, draw(), self._config)
        refused_for = refusal.seconds + max(refusal.pause_left, pause_all, delay)
        if refused_for > self._max_wait:
            return GiveUp(error=failure.error, is_unavailable=True, pause_all=pause_all)
        return Pause(delay=delay, pause_all=pause_all, is_new=refusal.is_new)

    def _is_given_up(self, circuit: Circuit, state: RetryState) -> bool:
        """Return whether the trials of an outage are used up, or one page's attempts within it."""
        if circuit.failed_trials is None:
            return False
        began = circuit.since if state.failing_since is None else state.failing_since
        is_page_given_up = state.failures >= self._attempts and began >= circuit.since
        trials = self._config.trials_per_attempt * self._attempts
        return is_page_given_up or circuit.failed_trials >= trials


def back_off(failures: int, fraction: float, config: RetryPolicyConfig = DEFAULTS) -> float:
    """Return the seconds to wait after the *failures*-th failure in a row, from 1.

    Full jitter: *fraction*, a random number in [0, 1), of a range that grows by `back_off_growth`.
    """
    growth = config.back_off_growth ** min(failures - 1, _MAX_EXPONENT)
    return fraction * min(config.max_back_off, config.min_back_off * growth)


def pause_without_retry_after(
    refusals: int, fraction: float, config: RetryPolicyConfig = DEFAULTS
) -> float:
    """Return the seconds to pause all requests after the *refusals*-th repeated 429, from 1.

    *fraction*, a random number in [0, 1), places the pause in the upper half of its jitter range:
    after a 429 no pause at all would be wrong in any case.
    """
    growth = config.pause_growth ** min(refusals - 1, _MAX_EXPONENT)
    return min(config.max_pause, config.min_pause * growth) * (0.5 + fraction / 2)


def pause_for_all(
    refusal: Refusal,
    retry_after: float | None,
    draw: Callable[[], float],
    config: RetryPolicyConfig = DEFAULTS,
) -> float:
    """Return the seconds that all requests of the client wait after a 429, or 0.

    They wait for a *retry_after* of more than `max_single_wait`; and if no request has passed since
    the last 429, for any *retry_after* or, without one, for a pause that grows. But not where fewer
    requests in flight are enough.
    """
    is_repeated = refusal.is_new and refusal.is_repeated
    if retry_after is None:
        return pause_without_retry_after(refusal.number - 1, draw(), config) if is_repeated else 0.0
    is_for_all = is_repeated or (retry_after > config.max_single_wait and not refusal.is_surplus)
    return max(retry_after, config.min_wait) if is_for_all else 0.0


def wait_of_refused(
    refusals: int, retry_after: float | None, fraction: float, config: RetryPolicyConfig = DEFAULTS
) -> float:
    """Return the seconds that a request waits after its *refusals*-th 429, from 1.

    Without *retry_after* not for long: the pages after it cannot be delivered before it, and when
    it is sent again is up to the pacer. *fraction* is a random number in [0, 1).
    """
    if retry_after is None:
        doublings = min(refusals - 1, config.max_doublings)
        return config.min_wait * 2.0**doublings * (1 + fraction)
    return max(retry_after, config.min_wait) + fraction * config.retry_after_jitter


def _outage(circuit: Circuit, now: float) -> str:
    failed = f"{circuit.failures} requests failed in {now - circuit.since:.0f} s"
    return f"the server is down: {failed}, none passed"


def _reason(wait: ServerWait) -> PauseReason:
    if wait.limiter:
        return "rate_limited" if wait.is_quota else "limiter"
    return "quota" if wait.is_quota else "measured_limit"
