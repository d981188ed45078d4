"""A share of the pulls with seeded faults; `chaos.py` runs any number of them."""

from __future__ import annotations

import pytest
from chaos import Scenario, failures, replay_command, run_in_process
from faults import FaultServer

pytestmark = [pytest.mark.long, pytest.mark.no_cover]


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_thousand_pulls_with_seeded_faults(first: int, caplog: pytest.LogCaptureFixture) -> None:
    """A pull delivers each contact once, in order, or raises the error that its seed implies."""
    caplog.set_level("ERROR")
    wrong = failures(range(first, first + 100), on_sockets=False)
    assert not wrong, _failure_text(wrong, on_sockets=False)


@pytest.mark.parametrize("first", range(0, 500, 100))
def test_complete_pulls_with_seeded_faults(first: int, caplog: pytest.LogCaptureFixture) -> None:
    """What a complete pull claims is true, whatever faults and changes its seed implies."""
    caplog.set_level("ERROR")
    wrong = failures(range(first, first + 100), on_sockets=False, complete=True)
    assert not wrong, _failure_text(wrong, on_sockets=False, complete=True)


def test_hundred_pulls_with_seeded_faults_over_sockets(
    faults: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The same holds over real connections, and all of them are closed."""
    caplog.set_level("ERROR")
    wrong = failures(range(100), on_sockets=True, faults=faults)
    assert not wrong, _failure_text(wrong, on_sockets=True)


def test_seeded_faults_are_deterministic(caplog: pytest.LogCaptureFixture) -> None:
    """Two runs of a seed give the same problems and the same history, to the microsecond."""
    caplog.set_level("ERROR")
    for seed in range(50):
        assert run_in_process(seed) == run_in_process(seed)


def _failure_text(wrong: dict[int, list[str]], *, on_sockets: bool, complete: bool = False) -> str:
    lines = []
    for seed, problems in wrong.items():
        scenario = Scenario.from_seed(seed, on_sockets=on_sockets, complete=complete)
        lines.append(str(scenario))
        lines += [f"  {problem}" for problem in problems]
        lines.append(f"  replay: {replay_command(seed, on_sockets=on_sockets, complete=complete)}")
    return "\n".join(lines)
