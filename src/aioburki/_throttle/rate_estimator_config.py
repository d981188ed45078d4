"""The constants of the rate estimator, each with its unit and where its figure comes from."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class RateEstimatorConfig:
    """The constants of `RateEstimator`.

    *Measured* means ``python benchmarks/pace.py --set NAME=VALUE``: 40 token buckets, of which 31
    reach the goals (at least 95 % used, at most 1.5 % answered 429) with the values below. *n at v*
    says how many did with another value before the slow start, when 35 did with these. *No
    effect* means that neither median nor extremes of the 40 buckets change: such a
    constant is a judgement.

    Attributes:
        first_rate: requests per second with which the search starts. Measured: 28 at 5, 29 at 20.
            It is below the limits that APIs commonly give one user.
        search_gain: share by which the search grows with each request that passes. Measured: 32 at
            0.025, 31 at 0.1.
        min_doubling_time: seconds, the shortest time in which the search may double. Measured: 34
            at 0.25, where up to 8.6 % of a bucket's requests were answered 429; 34 at 1.
        doubling_round_trips: the same in round trips, because results come one round trip late.
            Arithmetic: at 1 the rate is twice the limit at most when its 429 comes. Measured: at 2
            two points less are used in 40 s at 100/s where a page takes 0.5 s.
        max_rate: requests per second at which the search ends: there is no limit. Judgement: more
            than one client can send.
        max_sweep: requests, the longest sweep. Arithmetic: a sweep costs one 429, and one in 500
            is 0.2 %. Measured: 29 at 250, 35 at 1000.
        min_uncertainty: share of the limit by which a sweep goes beyond it at least, so that the
            bucket runs empty. Measured: 35 at 0.01 and at 0.04, where 1.06 % instead of 0.92 % are
            answered 429.
        max_uncertainty: the most, so that no sweep starts further below the limit than a bucket
            can save up for. Measured: 33 at 0.1, 34 at 0.4.
        counting_error: requests by which a count between two 429s may be wrong. Arithmetic: one at
            each end.
        overshoot: factor above the end of a sweep from which on a 429 may measure a limit that was
            raised meanwhile. Judgement.
        overshoot_growth: growth of the rate beyond the end of a sweep, in uncertainties per sweep
            squared: the limit was raised. Measured: 35 at 4, 34 at 16; after a limit is raised
            from 20/s to 80/s, 74 % of it is used at 4, 77 % at 8, 81 % at 16.
        max_excess: requests that may pass above what the measured limit allows before the limit
            counts as raised. Measured: 35 at 1.5, where servers that count per quota period answer
            2.5 instead of 2.1 % with 429; 35 at 6.
        min_burst: requests that a bucket holds at least. Judgement: or no web page could be opened.
            No effect at 2; 35 at 10, but one bucket is used to 86 instead of 94 %.
        max_burst: requests of a large burst that are made use of. Measured: 28 at 5, 35 at 20.
        min_measured: requests that a measurement needs: with fewer, the counting error is most of
            the result. No effect at 2; 35 at 6.
        min_measured_if_short: the same in less time than the next two figures. Measured: 35 at 10
            and 40, but at 10 a limit lowered from 80/s to 20/s costs 6 instead of 1 % of 429s.
        min_measure_time: seconds that a measurement takes. From pace.md, rule 3.
        measure_round_trips: the same in round trips, because results come one round trip late. From
            pace.md, rule 3.
        cut: factor for the rate after a 429 that measures nothing. Judgement: the usual halving.
        short_span_cut: factor after a 429 that came too early to measure. From pace.md, rule 2.
        noise: share by which two measurements may differ and still be of the same limit. Judgement:
            above the counting error of a span of 40 requests.
        memory: requests over which measurements are averaged. Arithmetic: two sweeps.
        min_shut: seconds of 429s alone from which on a server counts per quota period. Judgement:
            a token bucket refills within a second or so.
        some_paused: share of a span that may be pauses if it is to be measured as certain.
            Judgement: pauses of a tenth may hide a tenth of the tokens.
        max_paused: share of a span that may be pauses if it is to be measured at all. Judgement.
        round_trip_weight: weight of the last answer in the mean round trip. Judgement: the mean of
            some ten answers.
        min_proven_time: seconds. Keeps rates finite before any time has passed.
    """

    first_rate: float = 10.0
    search_gain: float = 0.05
    min_doubling_time: float = 0.5
    doubling_round_trips: float = 1.0
    max_rate: float = 10_000.0
    max_sweep: int = 500
    min_uncertainty: float = 0.02
    max_uncertainty: float = 0.2
    counting_error: int = 2
    overshoot: float = 1.1
    overshoot_growth: float = 8.0
    max_excess: float = 3.0
    min_burst: int = 5
    max_burst: int = 10
    min_measured: int = 3
    min_measured_if_short: int = 20
    min_measure_time: float = 0.25
    measure_round_trips: float = 4.0
    cut: float = 0.5
    short_span_cut: float = 0.65
    noise: float = 0.05
    memory: int = 1000
    min_shut: float = 2.0
    some_paused: float = 0.1
    max_paused: float = 0.5
    round_trip_weight: float = 0.1
    min_proven_time: float = 0.001
