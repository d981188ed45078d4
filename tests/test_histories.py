"""Lists that move in drawn ways: a pull that claims to be complete has lost nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import histories
import pytest
from histories import History, drawn, fault_of
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.long

DRAWS = st.randoms(use_true_random=False)


@settings(max_examples=1200)
@given(DRAWS)
def test_a_claim_is_true(draw: random.Random) -> None:
    """Of a list that moves, what is proved complete has nothing lost or doubled, and it ends."""
    history = drawn(draw, "within")
    assert fault_of(history) is None, history


@pytest.mark.no_cover
@settings(max_examples=600)
@given(DRAWS)
def test_no_claim_is_false_outside_of_the_assumptions(draw: random.Random) -> None:
    """Ties, a hidden order and items that change their place never pass for complete."""
    history = drawn(draw, "outside")
    assert fault_of(history) is None, history


@settings(max_examples=200)
@given(DRAWS)
def test_a_still_list_is_whole(draw: random.Random) -> None:
    """Of a list that stands still nothing is lost, whatever its order and its server's faults."""
    history = drawn(draw, "still")
    assert fault_of(history) is None, history


@pytest.mark.parametrize("seed", range(3))
def test_most_lists_within_the_assumptions_are_proved(seed: int) -> None:
    """Claims are not merely avoided: of short lists that move fast four in five are proved."""
    proved = total = 0
    for number in range(300):
        history = drawn(random.Random(f"proved {seed}/{number}"), "within")
        is_usual = not {"largest", "only", "count_error", "always_next"} & history.server.keys()
        if is_usual and history.pull["per_page"] >= 8 and not history.stops:
            total += 1
            proved += all(outcome.is_complete for outcome in history.run())
    assert proved >= 0.8 * total > 0


def test_a_false_claim_is_found() -> None:
    """A history that loses items and is taken for complete is told."""
    server = {"length": 100, "order": "id", "drift": {}, "bursts": {}}
    history = History(server, {"per_page": 10, "limit": 50}, keeps_keys=True)
    [outcome] = history.run()
    outcome.delivered.remove(104)
    assert 104 in outcome.lost & outcome.before_the_last


def test_command_line() -> None:
    """The command prints how many histories it has run, and exits with 0 if none was false."""
    path = Path(histories.__file__)
    command = [sys.executable, str(path), "--histories", "20", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("20 histories, 0 false, ")
    assert done.returncode == 0
    one = subprocess.run(
        [*command, "--only", "7"], capture_output=True, text=True, check=False, timeout=60
    )
    assert one.stdout.startswith("History(server=")
