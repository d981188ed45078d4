"""The retry policy, as the pure function that it is."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioburki import APIError, BurkiError, ConnectionFailedError, RateLimitError, ServerError
from aioburki._requests.decisions import Decision, GiveUp, Pause, Retry
from aioburki._requests.failures import Failure
from aioburki._requests.retry_policy import (
    RetryPolicy,
    RetryState,
    back_off,
    pause_for_all,
    pause_without_retry_after,
    wait_of_refused,
)
from aioburki._requests.retry_policy_config import RetryPolicyConfig
from aioburki._throttle import Circuit, Refusal

ATTEMPTS, MAX_WAIT = 6, 120.0
POLICY = RetryPolicy(ATTEMPTS, MAX_WAIT)
FIRST = Refusal(is_new=True, is_repeated=False, number=1, seconds=0.0, pause_left=0.0)

fractions = st.floats(0, 1, exclude_max=True)
waits = st.none() | st.floats(1e-6, 1e6)


def half() -> float:
    return 0.5


def failed(
    error: BurkiError | None = None, *, transient: bool = True, retry_after: float | None = None
) -> Failure:
    return Failure(error or ServerError("HTTP 503"), transient, retry_after)


def refused(retry_after: float | None = None) -> Failure:
    return Failure(RateLimitError("HTTP 429"), transient=True, retry_after=retry_after)


def repeated(number: int = 2, seconds: float = 1.0, pause_left: float = 0.0) -> Refusal:
    return Refusal(
        is_new=True, is_repeated=True, number=number, seconds=seconds, pause_left=pause_left
    )


def decided(
    failure: Failure,
    *,
    policy: RetryPolicy = POLICY,
    draw: Callable[[], float] = half,
    now: float = 0.0,
    failures: int = 1,
    refusal: Refusal | None = None,
    circuit: Circuit | None = None,
    failing_since: float | None = None,
) -> Decision:
    state = RetryState(
        now=now,
        failures=failures,
        refusals=1,
        refusal=refusal,
        circuit=circuit,
        failing_since=failing_since,
    )
    return policy.decide(failure, state, draw)


def test_back_off_has_full_jitter_in_growing_ranges() -> None:
    """Ranges of 0.1, 0.3, 0.9, 2.7, 8.1, 20 seconds, each from zero to its end."""
    ranges = [back_off(failures, 1.0) for failures in (1, 2, 3, 4, 5, 6, 1000)]
    assert ranges == pytest.approx([0.1, 0.3, 0.9, 2.7, 8.1, 20, 20])
    assert back_off(5, 0.0) == 0.0


def test_pause_without_retry_after_is_never_zero() -> None:
    """A pause lies in the upper half of its range, which doubles up to a bound."""
    pauses = [pause_without_retry_after(n, 0.0) for n in (1, 2, 3, 9, 9999)]
    assert pauses == [0.5, 1, 2, 10, 10]
    assert pause_without_retry_after(1, 1.0) == 1.0


@pytest.mark.parametrize("retry_after", [None, 0.3, 5.0])
def test_refused_request_waits_by_itself(retry_after: float | None) -> None:
    """A refused request waits its Retry-After and a jitter, or else a back-off that grows."""
    seconds = [wait_of_refused(refusals, retry_after, 0.5) for refusals in (1, 2, 3)]
    if retry_after is None:
        assert seconds == pytest.approx([0.15, 0.3, 0.6])
    else:
        assert seconds == [retry_after + 0.1] * 3


def test_tiny_retry_after_is_a_tenth_of_a_second() -> None:
    """A server that asks for a microsecond does not get a thousand requests per second."""
    assert wait_of_refused(1, 1e-6, 0.0) == pytest.approx(0.1)
    assert pause_for_all(repeated(), 1e-6, half) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("refusal", "retry_after", "seconds"),
    [
        (FIRST, None, 0.0),
        (FIRST, 1.0, 0.0),
        (FIRST, 1.1, 1.1),
        (repeated(2), None, 0.75),
        (repeated(3), None, 1.5),
        (repeated(2), 0.4, 0.4),
        (Refusal(is_new=False, is_repeated=True, number=3, seconds=1, pause_left=0), None, 0.0),
        (Refusal(is_new=False, is_repeated=True, number=3, seconds=1, pause_left=0), 0.4, 0.0),
        (Refusal(is_new=False, is_repeated=True, number=3, seconds=1, pause_left=0), 5.0, 5.0),
    ],
)
def test_all_requests_pause_for_a_long_wait_or_a_repeated_429(
    refusal: Refusal, retry_after: float | None, seconds: float
) -> None:
    """Up to a second, only the refused request waits, unless nothing has passed since."""
    assert pause_for_all(refusal, retry_after, half) == seconds


@pytest.mark.parametrize(
    ("failure", "failures"),
    [
        (failed(APIError("HTTP 404"), transient=False), 1),
        (failed(), ATTEMPTS),
        (failed(), ATTEMPTS + 1),
        (failed(APIError("HTTP 404"), transient=False, retry_after=1.0), 1),
        (failed(APIError("HTTP 404"), transient=False, retry_after=MAX_WAIT + 1), 1),
    ],
)
def test_final_failures_are_given_up(failure: Failure, failures: int) -> None:
    """A failure that is not transient and the last attempt are final."""
    assert decided(failure, failures=failures) == GiveUp(error=failure.error)


@pytest.mark.parametrize("refusal", [None, FIRST])
def test_wait_beyond_max_wait_is_final_and_named(refusal: Refusal | None) -> None:
    """A Retry-After beyond max_wait ends the page, and the error says how long it is."""
    failure = failed(retry_after=MAX_WAIT + 3480) if refusal is None else refused(MAX_WAIT + 3480)
    explanation = "the server asks to wait 3,600 s, longer than max_wait"
    decision = decided(failure, refusal=refusal)
    assert decision == GiveUp(error=failure.error, explanation=explanation)


@pytest.mark.parametrize(
    ("failures", "retry_after", "delay"),
    [(1, None, 0.05), (2, None, 0.15), (5, None, 4.05), (1, 17.5, 17.5), (5, 0.1, 4.05),
     (1, MAX_WAIT, MAX_WAIT)],
)  # fmt: skip
def test_transient_failures_are_retried_after_the_longer_wait(
    failures: int, retry_after: float | None, delay: float
) -> None:
    """The back-off or the Retry-After is waited, whichever is longer."""
    decision = decided(failed(retry_after=retry_after), failures=failures)
    assert isinstance(decision, Retry)
    assert decision.delay == pytest.approx(delay)
    assert (decision.reason, decision.detail) == ("server_error", "HTTP 503")


def test_429_is_no_attempt() -> None:
    """Used-up attempts do not end a page that is refused for its rate."""
    decision = decided(refused(), failures=99, refusal=FIRST)
    assert decision == Pause(delay=0.1 * 1.5, pause_all=0.0, is_new=True)


@pytest.mark.parametrize(
    ("retry_after", "delay", "pause_all"), [(0.5, 0.6, 0.0), (1.0, 1.1, 0.0), (5.0, 5.1, 5.0)]
)
def test_429_waits_its_retry_after(retry_after: float, delay: float, pause_all: float) -> None:
    """The refused request waits it with a jitter, all requests from more than a second on."""
    decision = decided(refused(retry_after), refusal=FIRST)
    assert isinstance(decision, Pause)
    assert decision.delay == pytest.approx(delay)
    assert decision.pause_all == pause_all


def test_429s_of_one_instant_are_reported_once() -> None:
    """A 429 to a request that was in flight at the last 429 is not reported."""
    old = Refusal(is_new=False, is_repeated=True, number=1, seconds=0.1, pause_left=0)
    decision = decided(refused(), refusal=old)
    assert isinstance(decision, Pause)
    assert not decision.is_new


def test_429_beyond_max_wait_pauses_nothing() -> None:
    """A Retry-After beyond max_wait is raised at once and changes nothing for other requests."""
    failure = refused(MAX_WAIT + 1)
    decision = decided(failure, refusal=FIRST)
    assert isinstance(decision, GiveUp)
    assert (decision.error, decision.pause_all) == (failure.error, 0)
    assert not decision.is_unavailable


@pytest.mark.parametrize(
    ("refusal", "retry_after", "is_given_up"),
    [
        (repeated(seconds=MAX_WAIT - 31), 30.0, False),
        (repeated(seconds=MAX_WAIT - 30), 30.0, True),
        (repeated(seconds=MAX_WAIT - 60, pause_left=59), 1.0, False),
        (repeated(seconds=MAX_WAIT - 60, pause_left=61), 1.0, True),
        (repeated(seconds=MAX_WAIT), None, True),
    ],
)
def test_429s_alone_are_given_up_after_max_wait(
    refusal: Refusal, retry_after: float | None, is_given_up: bool
) -> None:
    """A row of 429s, up to the end of the next wait, is bounded by max_wait."""
    decision = decided(refused(retry_after), refusal=refusal)
    assert isinstance(decision, GiveUp) is is_given_up
    if isinstance(decision, GiveUp):
        assert decision.is_unavailable
        assert decision.pause_all > 0


def test_max_wait_zero_gives_up_the_first_429() -> None:
    """With max_wait=0 no 429 is waited for, whatever it asks for."""
    policy = RetryPolicy(ATTEMPTS, 0.0)
    for retry_after in (None, 0.001):
        assert isinstance(decided(refused(retry_after), policy=policy, refusal=FIRST), GiveUp)


def test_open_circuit_delays_until_the_trial_request() -> None:
    """During an outage the delay is that of the next trial request, not the back-off."""
    failure = failed(ConnectionFailedError("could not connect"))
    circuit = Circuit(failures=3, failed_trials=2, due=107.0)
    decision = decided(failure, now=100.0, circuit=circuit)
    waits = Retry(delay=7.0, reason="connection", detail="could not connect")
    assert decision == waits
    assert decided(failure, now=107.0, circuit=circuit) == attrs.evolve(waits, delay=0.1 * 0.5)


@pytest.mark.parametrize(("failed_trials", "is_given_up"), [(None, False), (11, False), (12, True)])
def test_outage_is_given_up_after_two_trials_per_attempt(
    failed_trials: int | None, is_given_up: bool
) -> None:
    """With six attempts the twelfth failed trial request ends the pull, and says so."""
    circuit = Circuit(failures=15, since=20.0, failed_trials=failed_trials, due=100.0)
    decision = decided(failed(), now=91.0, circuit=circuit)
    assert isinstance(decision, GiveUp) is is_given_up
    if isinstance(decision, GiveUp):
        assert decision.is_unavailable
        assert decision.explanation == (
            "the server is down: 15 requests failed in 71 s, none passed"
        )


@pytest.mark.parametrize(("failing_since", "is_of_outage"), [(20.0, True), (19.0, False)])
def test_page_whose_attempts_are_used_up_in_an_outage_gives_it_up(
    failing_since: float, is_of_outage: bool
) -> None:
    """A page that failed before the outage already is given up alone."""
    circuit = Circuit(failures=15, since=20.0, failed_trials=4, due=100.0)
    decision = decided(
        failed(), now=91.0, circuit=circuit, failures=ATTEMPTS, failing_since=failing_since
    )
    assert isinstance(decision, GiveUp)
    assert decision.is_unavailable is is_of_outage


@given(waits, fractions, st.integers(1, 200), st.integers(1, 50), st.floats(0, 1000))
def test_no_wait_is_shorter_than_asked_or_longer_than_allowed(
    retry_after: float | None, fraction: float, refusals: int, failures: int, max_wait: float
) -> None:
    """Whatever the server asks for, a wait lies between that and max_wait, or the page ends."""
    policy = RetryPolicy(ATTEMPTS, max_wait)
    largest_back_off = RetryPolicyConfig().max_back_off
    for failure, refusal in (
        (failed(retry_after=retry_after), None),
        (refused(retry_after), FIRST),
    ):
        state = RetryState(failures=failures, refusals=refusals, refusal=refusal)
        decision = policy.decide(failure, state, lambda: fraction)
        if isinstance(decision, GiveUp):
            assert decision.error is failure.error
        else:
            bound = max(max_wait, largest_back_off) if refusal is None else max_wait
            assert (retry_after or 0.0) <= decision.delay <= bound


@given(waits, fractions, st.integers(1, 50))
def test_decisions_depend_on_the_arguments_alone(
    retry_after: float | None, fraction: float, failures: int
) -> None:
    """The same failure, state and random numbers lead to the same decision."""
    for failure, refusal in (
        (failed(retry_after=retry_after), None),
        (refused(retry_after), FIRST),
    ):
        state = RetryState(failures=failures, refusals=failures, refusal=refusal)
        first, second = (POLICY.decide(failure, state, lambda: fraction) for _ in range(2))
        assert first == second


@given(st.integers(1, 10_000), fractions)
def test_no_count_overflows(count: int, fraction: float) -> None:
    """However many failures there were, every wait is a finite number within its bound."""
    config = RetryPolicyConfig()
    assert 0 <= back_off(count, fraction) <= config.max_back_off
    assert 0 < pause_without_retry_after(count, fraction) <= config.max_pause
    assert 0 < wait_of_refused(count, None, fraction) <= 25.6
