"""Failure recorder: what follows a failed attempt, and what it means for all requests."""

from __future__ import annotations

import random
from typing import Any

from .._clock import loop_time
from .._throttle import Circuit, Refusal
from .decisions import Decision, GiveUp, Pause, Retry
from .failures import Failure
from .page_request import PageRequest
from .retry_policy import RetryPolicy, RetryState
from .traffic import Traffic
from .waits import Waits


class FailureRecorder:
    """Ask the retry policy what follows a failure, and record it with the pacer and the breaker.

    Args:
        policy: decides.
        traffic: what all requests of the client share.
        waits: the waits of the requests for which *policy* decides.
    """

    def __init__(self, policy: RetryPolicy, traffic: Traffic, waits: Waits) -> None:
        self._policy = policy
        self._traffic = traffic
        self._waits = waits

    def decide(self, request: PageRequest[Any], failure: Failure) -> Decision:
        """Count *failure*, ask the policy what follows, and record that for all requests."""
        circuit = self._circuit_after(request, failure)
        if failure.is_refusal:
            request.refusals += 1
            self._traffic.breaker.record_answer()
        elif (
            circuit is not None
            and failure.is_busy
            and self._traffic.busy_signs.record_busy(request.sent, request.in_flight, circuit)
        ):
            request.busy += 1
        else:
            request.failures += 1
            if failure.is_answered:
                self._traffic.pacer.record_success(request.sent, request.in_flight)
        state = RetryState(
            now=loop_time(),
            failures=request.failures,
            busy=request.busy,
            refusals=request.refusals,
            refusal=self._refusal(request) if failure.is_refusal else None,
            circuit=circuit,
            failing_since=request.failing_since,
        )
        decision = self._policy.decide(failure, state, random.random)
        if isinstance(decision, GiveUp) and decision.explanation is not None:
            decision.error.message += f"; {decision.explanation}"
        self._record(request, state, decision)
        if isinstance(decision, Retry) and failure.retry_after and circuit is not None:
            self._traffic.record_wait(self._waits, circuit.delay(state.now))
        return decision

    def _refusal(self, request: PageRequest[Any]) -> Refusal:
        return self._traffic.pacer.refusal(request.sent, is_surplus=request.is_surplus)

    def _circuit_after(self, request: PageRequest[Any], failure: Failure) -> Circuit | None:
        """Return the circuit after *failure*, or None if that is no sign of an outage."""
        if not failure.is_outage:
            return None
        retry_after = failure.retry_after or 0.0
        circuit = self._traffic.breaker.after_failure(
            request, is_trial=request.is_trial, retry_after=retry_after
        )
        if request.failing_since is None:  # not before the circuit's own time
            request.failing_since = loop_time()
        return circuit

    def _record(self, request: PageRequest[Any], state: RetryState, decision: Decision) -> None:
        """Record a failure with the pacer or the breaker, unless it concerns this page alone."""
        match decision:
            case Pause() if request.is_surplus:
                self._traffic.queue.end_slow_start()
            case Pause():
                self._traffic.queue.end_slow_start()
                self._traffic.pacer.record_refusal(request.sent, decision.pause_all)
                self._traffic.record_wait(self._waits, decision.pause_all)
            case Retry() if state.circuit is not None:
                self._traffic.breaker.record_failure(state.circuit)
            case Retry():  # a response, such as a 408 or an incomplete page: the server is not down
                self._traffic.breaker.record_answer()
            case GiveUp(is_unavailable=True) if state.refusal is not None:
                self._traffic.pacer.record_refusal(request.sent, decision.pause_all)
                self._traffic.record_wait(self._waits, decision.pause_all)
                if not self._traffic.others_wait(self._waits):
                    self._traffic.pacer.reset_refusals()
                if state.refusal.is_repeated:
                    self._waits.end(decision.error)
            case GiveUp(is_unavailable=True):
                if state.circuit is not None and self._traffic.others_wait(self._waits):
                    self._traffic.breaker.record_failure(state.circuit)
                else:
                    self._traffic.breaker.record_answer()
                self._waits.end(decision.error)
            case _:
                pass  # the error concerns this page alone
