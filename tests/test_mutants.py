"""The mutants fit the source; `python tests/mutants.py` checks that the tests catch them."""

from __future__ import annotations

import ast

import pytest
from mutants import ROOT, Mutant, StaleError, main, mutants, source_of

MUTANTS = mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_applies(mutant: Mutant) -> None:
    """The `old` text is in the source once, and the changed module compiles and differs."""
    source = source_of(mutant.module)
    changed = ast.parse(mutant.applied(source))
    assert ast.dump(changed) != ast.dump(ast.parse(source))
    compile(changed, mutant.module, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_has_its_tests(mutant: Mutant) -> None:
    """A mutant says in a sentence what it breaks, and names test files that exist."""
    assert mutant.says.endswith(".")
    assert mutant.tests
    assert all((ROOT / path).is_file() for path in mutant.test_files)


def test_stale_mutants_raise() -> None:
    """An `old` text that is missing or in the source twice raises StaleError."""
    mutant = MUTANTS[0]
    for source in ("", mutant.old * 2):
        with pytest.raises(StaleError, match="times in"):
            mutant.applied(source)


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name is an error, and no mutant runs."""
    assert main(["no-such-mutant"]) == 2
    assert capsys.readouterr().out == "unknown mutants: no-such-mutant\n"
