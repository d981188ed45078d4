"""A share of the early endings that `cancellations.py` runs in full."""

from __future__ import annotations

import pytest
from cancellations import CancellationRun
from faults import FaultServer

pytestmark = [pytest.mark.long, pytest.mark.no_cover]


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
def test_pulls_that_end_early_leave_nothing_behind(
    faults: FaultServer, variant: str, kind: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """No task, descriptor or connection is left, and a request succeeds in every slot."""
    caplog.set_level("ERROR")
    run = CancellationRun(faults, variant, kind, number, seed=0)
    assert not run.run(), run.replay_command()
