"""Storms of cancellations in small: `cancellations.py` runs them in full."""

from __future__ import annotations

import pytest
from cancellations import Storm
from faults import FaultServer

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("variant", "kind", "number"),
    [
        ("default", "cancellation", 10_000),
        ("default", "break", 1_000),
        ("default", "deadline", 1_000),
        ("TLS", "cancellation", 1_000),
        ("TLS", "break", 100),
        ("TLS", "deadline", 200),
        ("http_client", "cancellation", 4_000),
        ("http_client", "break", 100),
        ("http_client", "deadline", 200),
    ],
)
def test_nothing_is_left_of_pulls_that_ended_early(
    faults: FaultServer, variant: str, kind: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """No task, descriptor or connection is left, and every slot serves at once afterwards."""
    caplog.set_level("ERROR")
    storm = Storm(faults, variant, kind, number, seed=0)
    assert not storm.run(), storm.replay()
