"""Architecture: imports between rooms, length of modules and functions, docstrings of tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aioburki

PACKAGE = Path(aioburki.__file__).parent

# From the bottom up: a room is a folder, or a module outside of folders. Each imports only rooms
# before it.
ROOMS = [
    "_version",
    "_clock",
    "_errors",
    "_validation",
    "_surrogates",
    "_extras",
    "_pydantic",
    "_html",
    "_page",
    "_contact_row",
    "_models",
    "_user_agent",
    "_settings",
    "_report",
    "_events",
    "_event_sender",
    "_options",
    "_serialize",
    "_paging",
    "_time_left",
    "_progress_bar",
    "_range",
    "_throttle",
    "_http",
    "_decoding",
    "_deserialize",
    "_endpoint",
    "_requests",
    "_loop_binding",
    "_network",
    "_session",
    "_list_contacts",
    "_started_pull",
    "_boundaries",
    "_list_reader",
    "_estimate",
    "_tables",
    "_stream",
    "_contact_list",
    "_contacts",
    "_contacts_query",
    "_client",
    "__init__",
    "export",
    "sandbox",
    "redis",
    "telemetry",
    "dask",
    "cli",
    "__main__",
]

# What these rooms must not import, of this package and of others.
UNKNOWN = {
    "_paging": {"httpx", "httpcore", "h11", "_http", "_requests", "_models", "_list_contacts"},
    "_throttle": {"httpx", "httpcore", "h11", "_http", "_requests", "_models", "_page"},
    "_decoding": {"httpx", "httpcore", "h11", "asyncio", "anyio", "_models"},
    "_http": {"_page", "_models", "_decoding", "_events"},
    "_requests": {"_models", "_list_contacts", "_paging"},
}

TASKS = ("create_task", "ensure_future", "TaskGroup", "create_task_group", "gather")

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> tuple[set[str], set[str]]:
    """Return the modules of the package, with dots, and the other packages that *path* imports."""
    own: set[str] = set()
    others: set[str] = set()
    here = [] if path.parent == PACKAGE else [path.parent.name]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) + 1 - node.level]
            named = [node.module] if node.module else [alias.name for alias in node.names]
            own |= {".".join([*base, name]) for name in named}
        elif isinstance(node, ast.ImportFrom):
            others.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
    return own, others


def test_every_room_has_its_place() -> None:
    """Every room is in the order, and every room in the order exists."""
    assert {room_of(path) for path in MODULES} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_import_only_what_is_below(path: Path) -> None:
    """Rooms import only rooms before them in the order, so there is no cycle."""
    own, others = imported(path)
    rooms = {module.split(".")[0] for module in own} - {room_of(path)}
    assert rooms <= set(ROOMS[: ROOMS.index(room_of(path))])
    assert "aioburki" not in others


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_are_entered_by_their_door(path: Path) -> None:
    """What is inside a folder is imported from its `__init__`, which names what others may use."""
    inside = {
        module
        for module in imported(path)[0]
        if "." in module and module.split(".")[0] != room_of(path)
    }
    assert not inside


@pytest.mark.parametrize("room", UNKNOWN)
def test_rooms_know_only_their_own_subject(room: str) -> None:
    """Paging and throttling know no HTTP and no contacts, HTTP no pages, requests no contacts."""
    for path in (PACKAGE / room).glob("*.py"):
        own, others = imported(path)
        assert not ({module.split(".")[0] for module in own} | others) & UNKNOWN[room], path


def test_tasks_are_created_in_one_place() -> None:
    """Tasks are created in the prefetch, and for one attempt if httpx's own pool needs it."""
    creating = set()
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in TASKS:
                creating.add(name_of(path))
    # The second awaits its one child task at once, and only where httpx's own pool needs it.
    assert creating == {"_paging/prefetch", "_requests/attempt"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_fit_on_a_screen(path: Path) -> None:
    """No module over 300 lines, no function over 45 without its docstring."""
    source = path.read_text(encoding="utf-8")
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
