"""What looks for canaries finds them: a leak in each place, in each disguise."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from canaries import PACKAGE, traces, watching
from pages import KEY, PASSWORD, PHONE, body, contact

import aioburki
from aioburki import BurkiClient, BurkiError, sandbox
from aioburki._settings import Settings
from aioburki.sandbox import _response

pytestmark = pytest.mark.may_show("", why="here canaries are let loose, to be found by a watch")

DISGUISES: dict[str, str] = {
    "plain": f"Bearer {KEY}",
    "bytes": repr(KEY.encode()),
    "bytearray": repr(bytearray(KEY.encode())),
    "bytearray in pieces": f"{bytearray(KEY[:-7].encode())!r} + {bytearray(KEY[-7:].encode())!r}",
    "list of pieces": repr([PHONE[:6], PHONE[6:]]),
    "JSON": json.dumps({"phone": PHONE}),
    "URL": quote(PHONE),
    "URL, every character": "".join(f"%{ord(character):02X}" for character in KEY),
    "escaped": "".join(f"\\x{ord(character):02x}" for character in KEY),
    "escaped for JSON": "".join(f"\\u{ord(character):04x}" for character in PHONE),
    "HTML": "".join(f"&#x{ord(character):02x};" for character in PHONE),
    "UTF-16": repr(KEY.encode("utf-16")),
    "hexadecimal": KEY.encode().hex(),
    "cut at its end": KEY[:-4],
    "cut at its start": PHONE[3:],
    "written for people": f"{PHONE[:2]} ({PHONE[2:5]}) {PHONE[5:8]}-{PHONE[8:]}",
    "with dots": f"{PHONE[:2]}.{PHONE[2:5]}.{PHONE[5:8]}.{PHONE[8:]}",
    "as a float": f"{float(PHONE)}, {float(PHONE):.10e}",
    "at the end of a sentence": f"no answer from {PHONE}.",
    "somebody in the sandbox": "+15553943735",
    "a name": "{'name': 'John Smith'}",
    "a password": f"https://me:{PASSWORD}@burki.example",
    **{f"base64 at {n}": base64.b64encode(b"x" * n + KEY.encode()).decode() for n in range(4)},
}

HARMLESS = [
    "[API key]", "Contact(id=1, phone_number='…87', status='busy', attempts=1)", "campaign 42",
    "<object at 0x7f15553943735>", "0.15553943735", "140155539437351", "http://127.0.0.1:15553",
    "waited=0.00015550199714198243, started=12599.084914286", "(15550.199887, -1.5550199887e-05)",
]  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
def test_canaries_are_known_in_every_disguise(disguise: str) -> None:
    """Encoded, escaped, cut in pieces or cut short: each is a trace."""
    assert traces(f"the server said {DISGUISES[disguise]}, and more")


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_not_mistaken_for_canaries(text: str) -> None:
    """Addresses, fractions, numbers of threads and what stands for a secret are no traces."""
    assert not traces(text)


class PickledError(BurkiError):
    """Shows its value only when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (PickledError, (f"{KEY}",), {})


def in_package(source: str) -> dict[str, Any]:
    """Run *source* as if it stood in a module of the package; return what it defines."""
    names: dict[str, Any] = {"KEY": KEY, "BurkiError": BurkiError}
    exec(compile(source, f"{PACKAGE}/_leak.py", "exec"), names)
    return names


def error_with(change: Callable[[BurkiError], object]) -> Callable[[], object]:
    return lambda: change(BurkiError("it failed"))


def chained() -> None:
    BurkiError("it failed").__context__ = ValueError(KEY)


def holding_a_request() -> None:
    request = httpx.Request("GET", "https://burki.example", headers={"authorization": KEY})
    error = BurkiError("it failed")
    error.__cause__ = OSError({"deep": [httpx.ConnectError("x", request=request)]})


def raised_with_a_local_variable() -> None:
    leak = in_package("def leak():\n    key = KEY\n    raise BurkiError('it failed')\n")["leak"]
    with pytest.raises(BurkiError):
        leak()


def error_of_others() -> None:
    leak = in_package("def leak():\n    key = KEY\n    raise RuntimeError('it failed')\n")["leak"]
    try:
        leak()
    except RuntimeError as error:
        held.append(error)


def handled_by_the_loop() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.call_exception_handler({"message": "lost", "body": KEY})
    loop.close()


def logged(*arguments: object, **keywords: Any) -> Callable[[], object]:
    def leak() -> None:
        logger = logging.getLogger("of its own")
        logger.propagate = False  # no handler of the root logger sees it
        logger.debug(*arguments, **keywords)

    return leak


def unraisable() -> None:
    class Leak:
        def __del__(self) -> None:
            raise ValueError(KEY)

    Leak()


def warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn(KEY, stacklevel=1)


def printed() -> None:
    subprocess.run([sys.executable, "-c", f"print({KEY!r})"], capture_output=True, check=True)


held: list[object] = []

LEAKS: dict[str, tuple[Callable[[], object], str]] = {
    "text": (lambda: BurkiError(f"it failed: {KEY}"), "text of BurkiError"),
    "argument": (error_with(lambda e: setattr(e, "args", (KEY,))), "text of BurkiError"),
    "attribute": (error_with(lambda e: setattr(e, "body", PHONE)), "attributes of BurkiError"),
    "note": (error_with(lambda e: e.add_note(KEY)), "notes of BurkiError"),
    "cause": (error_with(lambda e: setattr(e, "__cause__", OSError(KEY))), "text of OSError"),
    "context": (chained, "text of ValueError"),
    "request": (holding_a_request, "chain of BurkiError"),
    "pickle": (lambda: PickledError("it failed"), "pickle"),
    "local variable": (raised_with_a_local_variable, "local variable of leak"),
    "error of others": (error_of_others, "local variable of leak"),
    "loop": (handled_by_the_loop, "exception handler of a loop"),
    "log message": (logged("x %s", KEY), "log record"),
    "log argument": (logged("%.2s", KEY), "log record"),
    "log extra": (logged("x", extra={"request": KEY}), "log record"),
    "log traceback": (logged("x", exc_info=ValueError(KEY)), "log record"),
    "unraisable": (unraisable, "unraisable"),
    "warning": (warned, "warning"),
    "process": (printed, "output"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", LEAKS)
def test_leaks_are_found(name: str) -> None:
    """A canary in any of the places where something is shown is found there."""
    leak, place = LEAKS[name]
    with watching() as watch:
        leak()
        findings = watch.findings()
    held.clear()
    gc.collect()
    assert any(f" in {place}: " in finding for finding in findings), findings


def test_output_that_a_test_reads_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """What is taken from capsys is seen on its way."""
    with watching() as watch:
        sys.stdout.write(PHONE)
        capsys.readouterr()
        assert watch.findings() == [f"phone number in output: {PHONE}"]


PUBLIC = [
    value for value in vars(aioburki).values()
    if isinstance(value, type) and not issubclass(value, BaseException | str)
]  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.asyncio
@pytest.mark.virtual_clock
@pytest.mark.parametrize("kind", [*PUBLIC, Settings, _response.SandboxResponse])
async def test_objects_are_found(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every public object that a pull makes is looked at, however it came into being."""
    monkeypatch.setattr(kind, "__repr__", lambda _: KEY)
    with watching() as watch:
        box = sandbox.Sandbox(300, faults={"503": 0.2, "429": 0.2})
        async with BurkiClient(KEY, transport=box.transport, on_event=held.append) as burki:
            pull = burki.contacts(42, per_page=10)
            async with pull.stream() as stream:
                everyone = [each async for each in stream]
            assert len(everyone) == len(await pull) == 300
            assert len([page async for page in pull.pages()]) == 30
            held.append(await pull.estimate())
        findings = watch.findings()
    held.clear()
    assert any(f"key in repr of {kind.__name__}: {KEY}" == finding for finding in findings)


def test_nothing_is_found_where_nothing_is_shown() -> None:
    """An error and a log line without a canary are no findings."""
    with watching() as watch:
        BurkiError("it failed", campaign_id=42)
        logging.getLogger("aioburki").debug("campaign %d", 42)
        assert watch.findings() == []


TESTS_THAT_LEAK = f"""
import asyncio, logging, pytest
from aioburki import BurkiError

def test_plain():
    BurkiError({KEY!r})

@pytest.mark.asyncio
async def test_in_a_loop():
    logging.getLogger("httpx").debug({KEY!r})

def test_printed():
    print({PHONE!r})

@pytest.mark.may_show("text", "attributes", "pickle", why="an example")
def test_that_may():
    BurkiError({KEY!r})

def test_harmless():
    BurkiError("it failed")
"""


def test_every_test_is_watched(tmp_path: Path) -> None:
    """Without asking for it, a test that leaks fails, unless it is marked."""
    (tmp_path / "test_leaks.py").write_text(TESTS_THAT_LEAK)
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider",
         "-c", here.parent / "pyproject.toml", tmp_path],
        env=os.environ | {"PYTHONPATH": str(here)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    summary = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert [line.split("::")[1].split(" ")[0] for line in summary] == [
        "test_plain", "test_in_a_loop", "test_printed",
    ]  # fmt: skip
    assert "5 passed, 3 errors" in done.stdout


def test_body_of_a_page_is_a_canary() -> None:
    """What tests send as a contact is recognised as a body."""
    assert traces(body(contact(1)).decode()) == {"body", "phone number"}
