"""The public interface: what is exported, documented and installed."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import aioburki

ROOT = Path(__file__).parent.parent


def test_all_is_sorted_and_complete() -> None:
    """Every public name of the package is in __all__, in order."""
    public = {
        name
        for name, value in vars(aioburki).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public | {"__version__"} == set(aioburki.__all__)
    assert aioburki.__all__ == sorted(aioburki.__all__)


def test_contract_names_are_there() -> None:
    """Every name of the public interface can be imported from the package."""
    names = """
        BurkiClient ContactStatus Contact ContactData ContactList ContactPage ContactRange
        Contacts ContactStream Pagination PullReport to_dict from_dict IncompletePullError
        UnorderedListError BurkiError ConfigurationError ClientClosedError TransportError
        ConnectionFailedError RequestTimeoutError APIError BadRequestError AuthenticationError
        PermissionDeniedError NotFoundError UnprocessableError RateLimitError ServerError
        UnexpectedResponseError ResponseDecodeError ResponseTooLargeError
    """
    assert set(names.split()) <= set(aioburki.__all__)


def test_every_public_object_has_a_docstring() -> None:
    """Every exported class and each of its public methods has a docstring."""
    for name in aioburki.__all__:
        value = getattr(aioburki, name)
        if isinstance(value, type):
            assert value.__doc__, name
            for method, function in vars(value).items():
                if not method.startswith("_") and callable(function):
                    assert function.__doc__, f"{name}.{method}"


def test_versions_agree() -> None:
    """Package, metadata and changelog name the same version."""
    assert importlib.metadata.version("aioburki") == aioburki.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[([\d.]+)\]", changelog, re.MULTILINE)[1] == aioburki.__version__  # type: ignore[index]


def test_core_needs_no_extra() -> None:
    """Importing the package, sandbox and export loads no package of an extra."""
    code = (
        "import sys, aioburki, aioburki.sandbox, aioburki.export;"
        "print(*sorted({name.split('.')[0] for name in sys.modules}"
        " & {'cyclopts', 'tqdm', 'uvicorn', 'starlette', 'pyarrow', 'numpy', 'pandas', 'polars',"
        " 'redis'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_constructing_imports_nothing() -> None:
    """Making a client imports no module, which would block the event loop."""
    code = (
        "import asyncio, sys, aioburki\n"
        "async def main():\n"
        "    before = set(sys.modules)\n"
        "    aioburki.BurkiClient('any')\n"
        "    print(*set(sys.modules) - before)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_core_dependencies_are_those_promised() -> None:
    """The core requires exactly ten packages."""
    requires = importlib.metadata.requires("aioburki") or []
    core = {re.split(r"[<>=~ ;\[]", line)[0] for line in requires if "extra ==" not in line}
    assert core == {
        "httpx", "httpcore", "certifi", "attrs", "cattrs", "anyio", "msgspec", "sniffio",
        "aiohappyeyeballs", "h11",
    }  # fmt: skip


def test_package_is_typed() -> None:
    """The package has a py.typed file."""
    assert (Path(aioburki.__file__).parent / "py.typed").exists()
