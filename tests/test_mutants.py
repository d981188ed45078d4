"""The mutants still fit the source; whether tests catch them, `python tests/mutants.py` tells."""

from __future__ import annotations

import ast

import pytest
from mutants import ROOT, Mutant, StaleError, main, mutants, source_of

MUTANTS = mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_applies(mutant: Mutant) -> None:
    """Its text stands once in the source, and the change is another program that compiles."""
    source = source_of(mutant.module)
    changed = ast.parse(mutant.applied(source))
    assert ast.dump(changed) != ast.dump(ast.parse(source))
    compile(changed, mutant.module, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_has_its_tests(mutant: Mutant) -> None:
    """It says in a sentence what it breaks, and names tests that exist."""
    assert mutant.says.endswith(".")
    assert mutant.tests
    assert all((ROOT / path).is_file() for path in mutant.test_files)


def test_stale_mutants_are_loud() -> None:
    """A text that is gone, or stands twice, is an error and no pass."""
    mutant = MUTANTS[0]
    for source in ("", mutant.old * 2):
        with pytest.raises(StaleError, match="times in"):
            mutant.applied(source)


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that no mutant has runs nothing, and not all of them."""
    assert main(["no-such-mutant"]) == 2
    assert capsys.readouterr().out == "there is no mutant no-such-mutant\n"
