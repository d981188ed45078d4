"""The house: who may import whom, how long things are, and how tests are written."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aioburki

PACKAGE = Path(aioburki.__file__).parent

# From the bottom up; each module imports only what stands before it. Beside the core stand
# those of the last row: they import it, never the other way round.
LAYERS = [
    "_version",
    "_errors",
    "_arguments",
    "_models",
    "_query",
    "_settings",
    "_events",
    "_report",
    "_encode",
    "_seen",
    "_plan",
    "_retry",
    "_budget",
    "_limit",
    "_detail",
    "_parse",
    "_structure",
    "_rows",
    "_decode",
    "_collector",
    "_body",
    "_failure",
    "_clock",
    "_ramp",
    "_network",
    "_connection",
    "_lanes",
    "_send",
    "_wirelog",
    "_exchange",
    "_pace",
    "_outage",
    "_fetch",
    "_lookahead",
    "_pull",
    "_contacts",
    "_client",
    "__init__",
    "export",
    "_campaign",
    "_answer",
    "_faults",
    "sandbox",
    "_sandbox_server",
    "cli",
    "__main__",
]

# What decides something without waiting for anything: no event loop, no HTTP.
PURE = ["_errors", "_models", "_query", "_events", "_encode", "_seen", "_plan", "_retry", "_budget",
        "_limit", "_detail", "_parse", "_structure", "_rows", "_decode", "_collector",
        "_arguments", "_wirelog"]  # fmt: skip

TASKS = ("create_task", "ensure_future", "TaskGroup", "create_task_group", "gather")


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def imported(module: str) -> tuple[set[str], set[str]]:
    """Return the modules of the package, and the others, that *module* imports."""
    own: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.level:
            own |= {node.module.split(".")[0]} if node.module else {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            others.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
    return own, others


def test_every_module_has_its_place() -> None:
    """No module stands outside the order."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(LAYERS)


@pytest.mark.parametrize("module", LAYERS)
def test_modules_import_only_what_is_below(module: str) -> None:
    """Data flows one way, and there is no cycle to hide."""
    own, others = imported(module)
    assert own <= set(LAYERS[: LAYERS.index(module)])
    assert "aioburki" not in others


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_neither_wait_nor_send(module: str) -> None:
    """What decides something can be tested as a plain function."""
    assert not imported(module)[1] & {"asyncio", "anyio", "httpx"}
    assert not any(
        isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree(module))
    )


def test_tasks_are_created_in_one_place() -> None:
    """Whoever looks for what runs side by side finds it in the look-ahead."""
    creating = set()
    for module in LAYERS:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Attribute) and node.attr in TASKS:
                creating.add(module)
    # The second waits for its one child on the spot, and only for a client of the user's.
    assert creating == {"_lookahead", "_exchange"}


def test_connections_are_known_in_one_place() -> None:
    """Only the lanes open connections."""
    opening = {module for module in LAYERS if "AsyncHTTP" in ast.dump(tree(module))}
    assert opening == {"_lanes"}


@pytest.mark.parametrize("module", LAYERS)
def test_modules_and_functions_fit_on_a_screen(module: str) -> None:
    """No module over 300 lines, no function over 45 without its docstring."""
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    assert source.count("\n") <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                assert (body[-1].end_lineno or 0) - body[0].lineno < 45, node.name


def _test_functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (path.name, node)
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


def test_every_test_promises_one_thing() -> None:
    """Each test has a docstring of one line."""
    for path, node in _test_functions():
        docstring = ast.get_docstring(node)
        assert docstring, f"{path}: {node.name}"
        assert "\n" not in docstring, f"{path}: {node.name}"
