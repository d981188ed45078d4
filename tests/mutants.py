"""Mutants: broken variants of the package, each of which its tests must catch.

    python tests/mutants.py [NAME ...]

For each mutant in ``mutants.toml`` a copy of the package is changed and the tests that the
mutant names run against the copy. The exit code is 1 if a mutant survives, if its ``old`` text
is not in the source exactly once, or if its tests cannot be collected.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

import aioburki

ROOT = Path(__file__).parent.parent
PACKAGE = Path(aioburki.__file__).parent
CONCURRENT_MUTANTS = 2
MAX_SECONDS = 600.0  # for all tests of one mutant
MAX_SECONDS_OF_ONE_TEST = 30

# Checks that the copy is imported, and not the package of an editable installation.
RUN = """
import importlib.util, sys, pytest
place = importlib.util.find_spec("aioburki").origin
assert place.startswith(sys.argv[1]), place
sys.exit(pytest.main(sys.argv[2:]))
"""


class StaleError(Exception):
    """Raised if a mutant no longer fits the source."""


@attrs.frozen
class Mutant:
    """One change of one module, and the tests that must fail because of it."""

    name: str
    says: str
    module: str
    old: str
    new: str
    tests: list[str]
    append: str = ""

    def applied(self, source: str) -> str:
        """Return *source*, the text of the module, with the change.

        Raises:
            StaleError: `old` is not in *source* exactly once.
        """
        if source.count(self.old) != 1:
            raise StaleError(
                f"{self.name}: `old` occurs {source.count(self.old)} times in {self.module}"
            )
        return source.replace(self.old, self.new) + self.append

    @property
    def test_files(self) -> list[str]:
        """Return the paths of its tests, relative to the root."""
        return [f"tests/test_{name}.py" for name in self.tests]


@attrs.frozen
class Outcome:
    """The result for a mutant, and the first test that failed."""

    mutant: Mutant
    verdict: str
    by: str
    seconds: float


def mutants() -> list[Mutant]:
    """Return all mutants of ``mutants.toml``."""
    content = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
    return [Mutant(name=name, **fields) for name, fields in content.items()]


def source_of(module: str) -> str:
    """Return the unchanged source of a module of the package."""
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


def outcome(mutant: Mutant) -> Outcome:
    """Run the tests of *mutant* against a changed copy of the package; return the result."""
    start = time.monotonic()
    try:
        changed = mutant.applied(source_of(mutant.module))
    except StaleError as error:
        return Outcome(mutant, "STALE", str(error), 0.0)
    verdict, by = _verdict(mutant, changed)
    return Outcome(mutant, verdict, by, time.monotonic() - start)


def _verdict(
    mutant: Mutant, changed: str, seconds: int = MAX_SECONDS_OF_ONE_TEST
) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "aioburki"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / f"{mutant.module}.py").write_text(changed, encoding="utf-8")
        return _run(mutant, folder, seconds)


def _run(mutant: Mutant, folder: str, seconds: int) -> tuple[str, str]:
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--timeout={seconds}"]
    command = [sys.executable, "-c", RUN, folder, *options, *mutant.test_files]
    environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=MAX_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "caught", f"tests that ran for more than {MAX_SECONDS:.0f} s"
    if done.returncode == 0:
        return "SURVIVED", " ".join(mutant.test_files)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode != 1 or not failed:
        return "BROKEN", (done.stdout + done.stderr).strip().rpartition("\n")[2]
    test = failed[0].split(" ")[1].removeprefix("tests/")
    return "caught", f"{test} (timeout)" if "Timeout (>" in done.stdout else test


def main(names: list[str]) -> int:
    """Run the mutants with these names, or all; print a table and return the exit code."""
    known = mutants()
    if unknown := set(names) - {mutant.name for mutant in known}:
        print(f"unknown mutants: {', '.join(sorted(unknown))}")
        return 2
    chosen = [mutant for mutant in known if not names or mutant.name in names]
    start = time.monotonic()
    bad = 0
    with ThreadPoolExecutor(CONCURRENT_MUTANTS) as executor:
        # Tests that fail without any change would seem to catch every mutant.
        control = executor.submit(_control, chosen)
        for each in executor.map(outcome, chosen):
            bad += each.verdict != "caught"
            print(_line(each), flush=True)
        verdict, by = control.result()
    if verdict != "SURVIVED":
        print(f"the unchanged package does not pass the tests: {by}")
        return 1
    seconds = time.monotonic() - start
    print(f"{len(chosen) - bad} of {len(chosen)} mutants caught in {seconds:.0f} s")
    return 1 if bad else 0


def _line(each: Outcome) -> str:
    line = f"{each.verdict:8}  {each.mutant.name:32} {each.seconds:5.1f} s  {each.by}"
    return line if each.verdict == "caught" else f"{line}\n{'':10}{each.mutant.says}"


def _control(chosen: list[Mutant]) -> tuple[str, str]:
    """Run the tests of all *chosen* mutants against an unchanged copy of the package."""
    tests = sorted({name for mutant in chosen for name in mutant.tests})
    same = Mutant(name="control", says="", module="_version", old="", new="", tests=tests)
    return _verdict(same, source_of("_version"), seconds=4 * MAX_SECONDS_OF_ONE_TEST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
