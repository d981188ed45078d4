"""Circuit breaker: while the server is down, one trial request at a time finds out when it is back.

The circuit is *closed* (requests pass) until `CircuitBreakerConfig.failures` requests in a row, for
more than one page, have failed without an answer between them. Then it is *open*: all requests
wait. After a wait that grows it is *half-open*: one trial request is sent. If that fails too, the
circuit is open again, for longer; any answer closes it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import attrs

from .._clock import loop_time


@attrs.frozen(kw_only=True)
class CircuitBreakerConfig:
    """The constants of `CircuitBreaker`.

    Attributes:
        failures: failed requests in a row that open the circuit. Arithmetic: where each request
            fails by chance with probability 0.1, one row of three in a thousand opens it, and that
            costs `min_open` seconds. The failures must be of more than one page, because a page
            that always fails says nothing of the server.
        min_open: seconds from the opening to the first trial request. Judgement: as short as the
            first back-off, so that a short fault costs a short wait.
        growth: factor by which the wait grows with each failed trial request. As the back-off's.
        max_open: seconds, the longest wait. From faults.md N14 (60 s without the server: at most 12
            trial requests): 0.1 + 0.3 + 0.9 + 2.7 + 8.1 s and then 9 s each are eleven; and
            everything goes on within 9 s of the server's return.
        jitter: share of the wait by which it may be shorter. Judgement: keeps the clients of one
            server from sending their trial requests in the same instant.
        poll: seconds between two looks at the circuit while a request waits. Judgement: well below
            the shortest wait that a user notices.
    """

    failures: int = 3
    min_open: float = 0.1
    growth: float = 3.0
    max_open: float = 9.0
    jitter: float = 0.1
    poll: float = 0.05

    def wait(self, failed_trials: int, fraction: float) -> float:
        """Return the seconds until the trial request after so many failed ones.

        *fraction* is a random number in [0, 1).
        """
        longest = min(self.max_open, self.min_open * self.growth ** min(failed_trials, 10))
        return longest * (1 - self.jitter * fraction)


@attrs.frozen(kw_only=True)
class Circuit:
    """What the requests of a client have shown of the server; changes by being replaced.

    Attributes:
        failures: requests that failed since the last answer.
        first_page: the page of the first of them.
        since: the loop's time of the first of them, in seconds.
        failed_trials: trial requests that failed since the circuit was opened; None: it is closed.
        due: the loop's time at which the next trial request may be sent.
    """

    failures: int = 0
    first_page: object = None
    since: float = 0.0
    failed_trials: int | None = None
    due: float = 0.0

    @property
    def is_closed(self) -> bool:
        """Return whether requests pass."""
        return self.failed_trials is None

    def delay(self, now: float) -> float:
        """Return the seconds until the next trial request, 0 if the circuit is closed."""
        return 0.0 if self.is_closed else max(0.0, self.due - now)

    def after_failure(
        self,
        page: object,
        *,
        now: float,
        is_trial: bool,
        retry_after: float,
        fraction: float,
        config: CircuitBreakerConfig,
    ) -> Circuit:
        """Return the circuit after a request for *page* has failed at *now*.

        It stays open for *retry_after* seconds at least. A request that was in flight when the
        circuit was opened, and is no trial request, does not prolong the wait.
        """
        if not self.failures:
            circuit = Circuit(failures=1, first_page=page, since=now)
        else:
            circuit = attrs.evolve(self, failures=self.failures + 1)
        if circuit.failed_trials is None:
            if circuit.failures < config.failures or page is circuit.first_page:
                return circuit
            failed_trials = 0
        elif is_trial:
            failed_trials = circuit.failed_trials + 1
        else:
            return circuit
        due = now + max(retry_after, config.wait(failed_trials, fraction))
        return attrs.evolve(circuit, failed_trials=failed_trials, due=due)


_CLOSED = Circuit()


class CircuitBreaker:
    """Let requests pass while the server answers, else one trial request at a time.

    One per client: an outage is the server's, and concerns all pulls. The pages take turns at the
    trial requests, so that no page uses up its attempts alone. The breaker does not give up; the
    retry policy does, by what the circuit says.

    Args:
        config: the constants.
        draw: returns random numbers in [0, 1), for the jitter.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._config = config or CircuitBreakerConfig()
        self._draw = draw
        self._circuit = _CLOSED
        self._queue = anyio.Lock()
        self._is_trial_in_flight = False

    @property
    def is_open(self) -> bool:
        """Return whether only trial requests pass."""
        return not self._circuit.is_closed

    def wait_left(self) -> float:
        """Return the seconds until the next trial request, 0 if the circuit is closed."""
        return self._circuit.delay(loop_time())

    async def acquire(self) -> bool:
        """Wait until a request may be sent; return whether it is a trial request.

        A trial request must end in `release`. A wait that is cancelled changes nothing.
        """
        while not self._circuit.is_closed:
            async with self._queue:
                while not self._circuit.is_closed and (delay := self._delay()) > 0:
                    await anyio.sleep(min(delay, self._config.poll))
                if not self._circuit.is_closed:
                    self._is_trial_in_flight = True
                    return True
        return False

    def leave_loop(self) -> None:
        """Forget the trial request that ran on another event loop, which has ended."""
        self._queue = anyio.Lock()
        self._is_trial_in_flight = False

    def release(self) -> None:
        """Record that the trial request has ended, by whatever outcome or by cancellation."""
        self._is_trial_in_flight = False

    def after_failure(self, page: object, *, is_trial: bool, retry_after: float) -> Circuit:
        """Return the circuit as a failed request for *page* would leave it; record nothing.

        *retry_after* is the wait that the server asked for, in seconds; 0 if it asked for none.
        """
        return self._circuit.after_failure(
            page,
            now=loop_time(),
            is_trial=is_trial,
            retry_after=retry_after,
            fraction=self._draw(),
            config=self._config,
        )

    def record_failure(self, circuit: Circuit) -> None:
        """Record a failure: *circuit* is what `after_failure` returned for it."""
        self._circuit = circuit

    def record_answer(self) -> None:
        """Close the circuit: the server has answered, or the requests were given up."""
        self._circuit = _CLOSED

    def _delay(self) -> float:
        if self._is_trial_in_flight:
            return self._config.poll
        return self._circuit.delay(loop_time())
