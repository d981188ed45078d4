"""Shared turns: the moments that a limiter reserves for the requests of one client."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import attrs

from .._clock import loop_time
from .._errors import LimiterError
from .limiter import Grant, Limiter
from .server_wait import ServerWait

PAUSED = "all processes wait, because the server asked one of them to"
TURN = "the turn of this process at the limit that it shares with others"


@attrs.frozen(kw_only=True)
class SharedTurnsConfig:
    """The constants of `SharedTurns`.

    Attributes:
        min_confirmed: seconds of waiting from which on a grant is confirmed before the request is
            sent: another process may have been told to wait meanwhile. Arithmetic: a shorter wait
            ends before a Retry-After of a second does, and lets one request through at most.
        max_late: seconds after its moment at which a grant that was left unused, because its
            request was cancelled or a pause of this client began, is still used. Judgement: late
            enough for the next request of the queue.
        min_back_off: seconds, the jitter range before a limiter that failed is asked again.
            Judgement: the first failure is often a connection that the server had closed.
        back_off_growth: factor by which the range grows. Judgement: the usual doubling.
        max_back_off: seconds, the largest range. Judgement: a limiter that is back is found soon.
        min_shared: seconds, the longest pause of this client that concerns no other. Judgement: as
            `RetryPolicyConfig.max_single_wait`. A limit that all keep refuses one of them twice in
            a row every now and then, and the others need not stop for that.
        poll: seconds between two looks whether a pause has begun. As in `PacerConfig`.
        min_told: seconds, the shortest wait for a turn that is told. As in `PacerConfig`.
    """

    min_confirmed: float = 0.25
    max_late: float = 0.1
    min_back_off: float = 0.1
    back_off_growth: float = 2.0
    max_back_off: float = 5.0
    min_shared: float = 1.0
    poll: float = 0.05
    min_told: float = 1.0


@attrs.frozen
class _Refused:
    """A 429 that the limiter does not know yet: when its request was sent, and the pause's end."""

    sent: float | None
    paused_until: float


class SharedTurns:
    """Wait for the moments that a limiter reserves, and report 429s to it. One per client.

    Only the head of the client's queue holds a reservation: a process that is killed takes one
    with it, and the limiter serves the processes in turns. A reservation whose request is
    cancelled is used by the next one.

    Args:
        limiter: reserves the moments.
        draw: returns random numbers in [0, 1), for the jitter.
        config: the constants.

    Attributes:
        is_lowered: whether the limiter allows less than its own rate, because of 429s.
        rate: requests per second that it allows all processes; infinity before it has said so.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        draw: Callable[[], float],
        config: SharedTurnsConfig | None = None,
    ) -> None:
        self._limiter = limiter
        self._draw = draw
        self._config = config or SharedTurnsConfig()
        self._grant: Grant | None = None
        self._due = -math.inf  # when the grant's moment comes, in the loop's time
        self._passed = 0  # requests since the limiter was last told
        self._refused: _Refused | None = None
        self.is_lowered = False
        self.rate = math.inf

    async def wait(
        self,
        pause_left: Callable[[], float],
        on_wait: Callable[[ServerWait], None],
        max_wait: float,
    ) -> None:
        """Wait until a request may be sent, or until a pause of this client begins.

        `use` must follow if the request is sent.

        Raises:
            LimiterError: the limiter cannot be used, or was not reached for *max_wait* seconds.
        """
        if loop_time() > self._due + self._config.max_late:
            self._grant = None
        is_confirmed = False
        while not pause_left():
            if self._grant is not None and (delay := self._due - loop_time()) > 0:
                await anyio.sleep(min(delay, self._config.poll))
            elif self._grant is not None and is_confirmed:
                return
            else:
                await self._reserve(on_wait, max_wait)
                is_confirmed = self._due - loop_time() < self._config.min_confirmed

    def use(self) -> None:
        """Record that a request is sent with the reservation."""
        self._grant = None

    def record_success(self) -> None:
        """Record that a request has passed."""
        self._passed += 1

    def record_refusal(self, sent: float | None, pause: float) -> None:
        """Record a 429, to be sent with `send_refusal` or with the next reservation.

        Args:
            sent: when its request was sent; None if it says nothing of the rate.
            pause: seconds from now that all requests of this client wait. All processes do if it is
                a long one.
        """
        is_shared = pause > self._config.min_shared
        if sent is not None or is_shared:
            self._keep(_Refused(sent, loop_time() + pause if is_shared else -math.inf))

    async def send_refusal(self) -> None:
        """Send a recorded 429 to the limiter at once: other processes may have to wait.

        If the limiter fails, the 429 is kept, and the next reservation says why.
        """
        try:
            await self._send_refusal()
        except LimiterError:
            return

    async def _send_refusal(self) -> None:
        if (refused := self._refused) is None:
            return
        self._refused = None
        now, passed = loop_time(), self._take_passed()
        try:
            await self._limiter.record_refusal(
                passed=passed,
                age=None if refused.sent is None else now - refused.sent,
                pause=max(0.0, refused.paused_until - now),
            )
        except BaseException:
            self._passed += passed
            self._keep(refused)
            raise

    async def _reserve(self, on_wait: Callable[[ServerWait], None], max_wait: float) -> None:
        """Ask for a grant, or for a confirmation of the one that is there, until it comes."""
        since, failures = loop_time(), 0
        while (error := await self._try_to_reserve()) is not None:
            failures += 1
            delay = self._back_off(failures)
            failing = loop_time() - since
            if error.transient and failing + delay > max_wait and failures > 1:
                error.message += f", for {failing:.0f} s"
            if not error.transient or failing + delay > max_wait:
                raise error
            on_wait(ServerWait(delay, is_quota=False, limiter=error.message))
            await anyio.sleep(delay)
        grant = self._grant
        assert grant is not None
        if grant.wait > self._config.min_told:
            limiter = PAUSED if grant.is_paused else TURN
            on_wait(ServerWait(grant.wait, is_quota=grant.is_paused, limiter=limiter))

    async def _try_to_reserve(self) -> LimiterError | None:
        passed = 0
        try:
            await self._send_refusal()
            passed = self._take_passed()
            grant = await self._limiter.reserve(passed=passed, earlier=self._grant)
        except LimiterError as error:
            self._passed += passed
            return error
        self._grant, self._due = grant, loop_time() + grant.wait
        self.is_lowered, self.rate = grant.is_lowered, grant.rate
        return None

    def _take_passed(self) -> int:
        passed, self._passed = self._passed, 0
        return passed

    def _keep(self, refused: _Refused) -> None:
        """Keep *refused*, joined with one that is kept already."""
        if (kept := self._refused) is not None:
            times = [sent for sent in (kept.sent, refused.sent) if sent is not None]
            end = max(kept.paused_until, refused.paused_until)
            refused = _Refused(max(times, default=None), end)
        self._refused = refused

    def _back_off(self, failures: int) -> float:
        config = self._config
        growth = config.back_off_growth ** min(failures - 1, 10)
        return min(config.max_back_off, config.min_back_off * growth) * (0.5 + self._draw() / 2)
