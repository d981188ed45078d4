"""Time left of a pull, by what has come so far."""

from __future__ import annotations

import pytest

from aioburki._time_left import TimeLeft


def filled(*samples: tuple[float, int]) -> TimeLeft:
    left = TimeLeft()
    for now, count in samples:
        left.record(now, count)
    return left


def test_nothing_is_known_before_the_second_page() -> None:
    """One page, or pages of one moment, or pages without contacts, show no rate."""
    assert TimeLeft().seconds(0, 100) is None
    assert filled((5, 100)).seconds(9, 100) is None
    assert filled((5, 100), (5, 200)).seconds(9, 100) is None
    assert filled((5, 100), (6, 100)).seconds(9, 100) is None


def test_steady_pull() -> None:
    """At an even rate the time left is what is left by that rate."""
    steady = filled(*((each / 10, 10 * each) for each in range(100)))
    assert steady.seconds(9.9, 1_000) == pytest.approx(10)


def test_limit_that_was_found_counts() -> None:
    """A pull that has become slower is measured by how it is now, after as long again."""
    samples = [(each, 1_000 * each) for each in range(10)]
    samples += [(each, 9_000 + 10 * (each - 9)) for each in range(10, 31)]
    assert filled(*samples).seconds(30, 100) == pytest.approx(10)


def test_pauses_that_were_are_in_the_rate() -> None:
    """A pull that pauses again and again goes on to do so."""
    samples = [
        (60.0 * period + each, 10 * period + each) for period in range(8) for each in range(11)
    ]
    assert filled(*samples).seconds(430, 100) == pytest.approx(600, rel=0.2)


def test_pause_that_goes_on_is_added() -> None:
    """The rest of a pause comes on top, and a shorter one does not end it."""
    left = filled((0, 0), (10, 100))
    left.record_pause(10, 60)
    left.record_pause(11, 1)
    assert left.seconds(10, 100) == pytest.approx(70)
    assert left.seconds(40, 100) == pytest.approx(40)
    assert left.seconds(100, 100) == pytest.approx(10)


def test_few_samples_are_kept() -> None:
    """However many pages come, the samples are few."""
    many = filled(*((each / 1_000, each) for each in range(100_000)))
    assert len(many._samples) < 400
    assert many.seconds(100, 1_000) == pytest.approx(1, rel=0.05)


def test_standstill_without_a_pause() -> None:
    """The time left grows while nothing comes for longer than usual, and not after a pause."""
    time_left = TimeLeft()
    for second in range(11):
        time_left.record(second, 100 * second)
    shown = []
    for now in (10, 11, 16, 71):
        time_left.record_pause(now, 0)
        shown.append(time_left.seconds(now, 500))
    assert shown[0] == shown[1] == pytest.approx(5)
    assert shown[2] == pytest.approx(5 * 2)  # 500 contacts in the last five seconds, and in ten
    assert shown[3] == pytest.approx(5 * 13)
    time_left.record_pause(71, 10)
    assert time_left.seconds(82, 500) == pytest.approx(5)
