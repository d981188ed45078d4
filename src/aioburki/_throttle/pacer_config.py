"""The constants of the pacer, each with its unit and where its figure comes from."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class PacerConfig:
    """The constants of `Pacer`.

    Attributes:
        slack: seconds by which a request may be sent late and the next one still keeps the
            schedule, so that late wake-ups cost no throughput. Arithmetic: no second holds more
            than a tenth above `rate`. Time in which nothing is to be sent is not saved up.
        slack_at_limit: the same at a limit that was found from 429s, whose token bucket is kept
            nearly empty. Judgement: the time by which a busy event loop wakes up late.
        max_caught_up: seconds, the longest interval between requests at which late ones are caught
            up with. Arithmetic: below five requests per second a late wake-up costs less than 2 %
            of an interval, and one request more in ten seconds would be more than 2 %.
        idle_intervals: intervals after its due time at which a request shows that nothing was to be
            sent, or that the loop was blocked, so that the token bucket may be full. Judgement.
        pause_jitter: seconds, the jitter range at the end of a pause: each request waits up to this
            much longer. Judgement: spreads the requests of a client over some round trips.
        max_refusal_gap: seconds after a pause from which on a 429 begins a new row of refusals.
            Judgement: longer than any page waits by itself, so there were no requests meanwhile.
        poll: seconds between two looks at the schedule while a request waits: the rate may change
            meanwhile. Judgement: well below the shortest wait that a user notices.
        answer_poll: seconds between two looks whether the requests of an ended quota period have
            been answered. Judgement: below the latency of a network, so that it adds little to it.
        min_told: seconds, the shortest interval between requests that is told as a wait. Judgement:
            shorter ones are a pace, and the progress of a pull shows them.
    """

    slack: float = 0.1
    slack_at_limit: float = 0.02
    max_caught_up: float = 0.2
    idle_intervals: int = 2
    pause_jitter: float = 0.2
    max_refusal_gap: float = 60.0
    poll: float = 0.05
    answer_poll: float = 0.01
    min_told: float = 1.0
