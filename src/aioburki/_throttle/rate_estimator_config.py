"""Constants of the rate estimator."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class RateEstimatorConfig:
    """doc."""

    first_rate: float = 10.0
    search_gain: float = 0.05
    min_doubling_time: float = 0.5
    doubling_round_trips: float = 2.0
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
