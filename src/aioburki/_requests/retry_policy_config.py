"""Retry policy config: the constants of the retry policy, and where they come from."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class RetryPolicyConfig:
    """The constants of the retry policy.

    Attributes:
        min_back_off: seconds, the jitter range before the second attempt. From faults.md ("full
            jitter, base 0.1 s"): the commonest failure is a kept-alive connection that the server
            had just closed, and needs hardly any wait.
        back_off_growth: factor by which the jitter range grows with each attempt. Arithmetic: the
            fifth range is 8.1 s, long enough for a restart of the server.
        max_back_off: seconds, the largest jitter range. From faults.md ("cap 20 s").
        min_pause: seconds, the jitter range of the first pause without a Retry-After. From
            faults.md ("base 1 s throttle").
        pause_growth: factor by which it grows with each 429 in a row. Judgement: the usual
            doubling.
        max_pause: seconds, the largest. From faults.md ("cap 20 s").
        min_wait: seconds that a refused request waits at least. Judgement: a server that asks for
            microseconds must not get a thousand requests per second.
        max_doublings: how often `min_wait` is doubled at most, one doubling with each 429 for the
            page. Arithmetic: 0.1 s x 2^7 = 12.8 s, with jitter up to 25.6 s.
        max_single_wait: seconds, the longest Retry-After that only the refused request waits for.
            From pace.md, rule 5; a pause of a second for all at each 429 would leave a tenth of a
            small bucket's limit unused (pace.md: 91.6 % instead of 99.3 %).
        retry_after_jitter: seconds, the jitter range added to a 429's Retry-After. Judgement:
            requests that were refused together are not repeated together.
        trials_per_attempt: failed trial requests per allowed attempt after which an outage is given
            up. Arithmetic: with 6 attempts twelve trial requests, that is 61 to 100 s (faults.md
            N14: 60 s must be survived).
        spread_share: share of a long quota period's requests that is spread evenly over the rest of
            the period. Judgement: a pull that needs half of the quota or less is not slowed down,
            and a larger one does not stop until the period ends.
    """

    min_back_off: float = 0.1
    back_off_growth: float = 3.0
    max_back_off: float = 20.0
    min_pause: float = 1.0
    pause_growth: float = 2.0
    max_pause: float = 20.0
    min_wait: float = 0.1
    max_doublings: int = 7
    max_single_wait: float = 1.0
    retry_after_jitter: float = 0.2
    trials_per_attempt: int = 2
    spread_share: float = 0.5


DEFAULTS = RetryPolicyConfig()
