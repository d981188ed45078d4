"""Seeded chaos in small: `chaos.py` runs as much of it as one likes."""

from __future__ import annotations

import pytest
from chaos import Scenario, failures, replay, run_in_process
from faults import FaultServer

pytestmark = pytest.mark.long


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_thousand_pulls_through_chaos(first: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each contact once and in order, and figures that add up; or the error that was foretold."""
    caplog.set_level("ERROR")
    wrong = failures(range(first, first + 100), on_sockets=False)
    assert not wrong, _story(wrong, on_sockets=False)


def test_hundred_pulls_through_chaos_over_sockets(
    faults: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The same over real connections, none of which is left."""
    caplog.set_level("ERROR")
    wrong = failures(range(100), on_sockets=True, faults=faults)
    assert not wrong, _story(wrong, on_sockets=True)


def test_chaos_is_the_same_each_time(caplog: pytest.LogCaptureFixture) -> None:
    """A seed replays its pull to the microsecond, so that what it found can be found again."""
    caplog.set_level("ERROR")
    for seed in range(50):
        assert run_in_process(seed) == run_in_process(seed)


def _story(wrong: dict[int, list[str]], *, on_sockets: bool) -> str:
    lines = []
    for seed, problems in wrong.items():
        lines.append(str(Scenario.drawn(seed, on_sockets=on_sockets)))
        lines += [f"  {problem}" for problem in problems]
        lines.append(f"  replay: {replay(seed, on_sockets=on_sockets)}")
    return "\n".join(lines)
