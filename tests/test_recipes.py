"""The recipes: each runs as its docstring says, without a network."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "tests" / "recipes").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")

ALL = ["all lasting contacts: True", "each once: True"]

OUTPUT = {
    "arq_worker": ["some have failed: True", "8 ranges, each proved complete", *ALL],
    "celery_tasks": ["4 tasks, each proved complete", *ALL],
    "divide_among_processes": ["8 ranges, each proved complete", *ALL],
    "export_to_csv": ["794 rows with the columns id, phone_number, status,"],
    "mock_with_respx": ["1 contact, 1 request", "HTTP 401: Invalid key (campaign 42, page 1,"],
    "notebook_cells": [
        "2 requests for 1500 contacts",
        "Contact(id=101, phone_number='…09',",
        "{'name': '",
    ],
    "prometheus_metrics": [
        'aioburki_client_requests_total{aioburki_outcome="ok",aioburki_status_class="2xx",',
        "aioburki_client_wait_time_seconds_total{",
        "aioburki_client_contacts_total{",
        "aioburki_client_pull_duration_seconds_bucket{",
    ],
    "progress_events": [
        "page 10 of 10, attempts: 1",
        "page 2: HTTP 503: The sandbox was asked to fail here, again in 0.",
        "page 9: rate_limited, waiting for 1.",
        "page 9 of 10, attempts: 3",
        "1000 contacts in 13 requests",
    ],
    "resume_after_a_crash": [
        "crashed after 1000",
        "crashed after 1750",
        "0 contacts are missing",
    ],
    "serve_contacts": ["1 passed"],
    "test_your_code": ["3 passed"],
}

# What a notebook does: the code of the file as one coroutine.
TOP_LEVEL_AWAIT = """
import ast, asyncio, pathlib, sys
source = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
cells = compile(source, sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
asyncio.run(eval(cells, {}))
"""


def command(recipe: Path) -> list[str] | None:
    """Return the command in the docstring, for this Python; None for cells of a notebook."""
    docstring = ast.get_docstring(ast.parse(recipe.read_text(encoding="utf-8"))) or ""
    found = re.search(r"Run it with ``python ([^`]+)``", docstring)
    return [sys.executable, "-W", "error", *found[1].split()] if found else None


# Queues start workers, which takes seconds, and do not depend on the wheel.
QUEUES = {"arq_worker", "celery_tasks"}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(each, id=each.stem, marks=pytest.mark.long if each.stem in QUEUES else ())
        for each in RECIPES
    ],
)
def test_recipe_runs(recipe: Path) -> None:
    """The command in the docstring runs without a warning and prints what it should."""
    run = command(recipe)
    if run is None:
        run = [sys.executable, "-W", "error", "-c", TOP_LEVEL_AWAIT, str(recipe)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not [line for line in OUTPUT[recipe.stem] if line not in done.stdout], done.stdout


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_recipe_is_linked(recipe: Path) -> None:
    """The README links to each recipe."""
    assert f"(tests/recipes/{recipe.name})" in README
