"""The example notebook: a kernel runs it against the sandbox, as a reader would, cell by cell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "tests" / "recipes" / "contacts.ipynb"
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return the cells of code with their outputs, after the whole notebook has run."""
    folder = str(tmp_path_factory.mktemp("jupyter"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, folder)
        notebook = stored()
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def stored() -> Any:
    return nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]


def outputs(cells: list[Any], words: str) -> list[Any]:
    (found,) = (cell.outputs for cell in cells if words in cell.source)
    return list(found)


def data(cells: list[Any], words: str, kind: str) -> str:
    """Return what the last output of a cell shows in the MIME type *kind*."""
    return str(outputs(cells, words)[-1]["data"][kind])


def test_list_and_table_are_shown(cells: list[Any]) -> None:
    """A list is shown as HTML with its statuses and proof, and as a table of pandas."""
    shown = data(cells, "limit=2_000", "text/html")
    assert "… 1,990 more …" in shown
    assert "2,000 contacts: " in shown
    assert re.search(r"<p>complete \(coverage\); \d+ requests", shown)
    assert "no_answer" in data(cells, "to_pandas()", "text/html")


def test_statuses_are_plotted(cells: list[Any]) -> None:
    """The plot is a picture."""
    assert data(cells, ".plot.", "image/png")


def test_interrupted_pull_goes_on_in_another_cell(cells: list[Any]) -> None:
    """The stop button ends a cell and its bar; the next cell takes the rest, each contact once."""
    bar, error = outputs(cells, "signal.SIGINT")
    assert "campaign 42:" in bar["data"]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bar["data"]
    assert error["ename"] in {"CancelledError", "KeyboardInterrupt"}
    before, result = outputs(cells, "stream.rest")
    assert 0 < int(before["text"].split()[0]) < 20_000
    assert result["data"]["text/plain"] == "(20000, 20000)"


def test_other_cells_work_after_an_interrupt(cells: list[Any]) -> None:
    """The client is used again, and closed without an output."""
    assert int(data(cells, ".count()", "text/plain")) > 0
    assert outputs(cells, "aclose()") == []


def test_outputs_show_no_phone_number(cells: list[Any]) -> None:
    """Nothing that the notebook shows has a phone number, not even of the sandbox."""
    for cell in cells:
        for output in cell.outputs:
            for kind, shown in output.get("data", {}).items():
                assert kind == "image/png" or not re.search(r"\+\d{9}", str(shown)), cell.source


def test_notebook_is_stored_without_outputs() -> None:
    """The file has no outputs and no numbers of executions, and the README links to it."""
    notebook = stored()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    assert "(tests/recipes/contacts.ipynb)" in README
