"""Canaries: secrets that tests use, and what looks for them wherever they might be shown.

A `Watch` notes what a test shows: every error of the package with all that hangs on it, the
`repr` of every object of the package, log records, warnings, output, what a loop or the
interpreter reports. In each of these texts `traces` looks for the key, for phone numbers and
for pieces of a body, also encoded or in part.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gc
import logging
import pickle
import re
import subprocess
import sys
import traceback
import types
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from pages import KEY, PASSWORD, PHONE

import aioburki
from aioburki import BurkiClient, BurkiError

PACKAGE = str(Path(aioburki.__file__).parent)
TESTS = str(Path(__file__).parent)

# So many objects of one class are looked at, and so many of what hangs on an error.
MAX_OF_A_KIND = 200
FOREIGN = ("httpx", "httpcore", "h11", "anyio", "ssl")

_PIECE = 8


def _pieces(secret: str) -> set[str]:
    """Return what of *secret* gives it away: each run of eight characters, also encoded."""
    raw = {secret[start : start + _PIECE] for start in range(len(secret) - _PIECE + 1)}
    encoded = {piece.encode().hex() for piece in raw}
    for offset in range(3):  # base64 begins anew every three bytes, wherever the secret does
        text = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        last = (offset + len(secret)) * 8 // 6
        encoded.add(text[-(-offset * 8 // 6) : last])
    return raw | encoded


CANARIES: dict[str, set[str]] = {
    "key": _pieces(KEY.rpartition("-")[2]),
    "phone number": _pieces(PHONE.lstrip("+")),
    "password": {PASSWORD},
    "body": {"JohnSmith", "CUST0"},
}
"""Pieces without punctuation, as `_plain` leaves them."""

# Of whatever contact, in tests and in the sandbox; but no fraction, and no part of a number.
_PHONE_NUMBER = re.compile(r"1555\d{7}(?<![\d.]\d{11})(?!\d)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+")
# A time in seconds has up to 17 digits, and eight of them may be those of a secret by chance. A
# phone number that became a float has more digits before its point, and is found.
_FRACTION = re.compile(r"(?<![\w.+])-?\d{1,7}\.\d+(?:e-\d+)?(?![\w.])")
_ESCAPE = re.compile(r"(?:\\x|\\u00|%|&#x)([0-9A-Fa-f]{2});?")
_SEAM = re.compile(r"""["']\)?[\s,+]*(?:bytearray\()?b?["']|[^0-9A-Za-z]+""")


def traces(text: str) -> set[str]:
    """Return which canaries *text* shows: whole or in part, escaped, encoded or cut in pieces."""
    text = _FRACTION.sub("0.0", _ADDRESS.sub("", text))
    unescaped = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    plain = _SEAM.sub("", unescaped)
    found = {name for name, pieces in CANARIES.items() if any(piece in plain for piece in pieces)}
    if _PHONE_NUMBER.search(unescaped):
        found.add("phone number")
    return found


@attrs.define
class Watch:
    """Note what is shown, and say where a canary is in it."""

    errors: list[BurkiError] = attrs.field(factory=list)
    shown: dict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    _looked_at: Counter[type] = attrs.field(factory=Counter)

    def note(self, place: str, *texts: str) -> None:
        """Keep *texts*, which are shown at *place*."""
        self.shown[place].update(texts)

    def findings(self, but: tuple[str, ...] = ()) -> list[str]:
        """Return a line for each text that shows a canary; not for places that begin as *but*."""
        self.sweep()
        for error in self.errors:
            self.note_error(error)
        return [
            f"{' and '.join(sorted(traces(text)))} in {place}: {text[:2000]}"
            for place, texts in self.shown.items()
            if not place.startswith(but) and traces("\n".join(texts))
            for text in texts
            if traces(text)
        ]

    def sweep(self) -> None:
        """Note every object of the package that is alive, and every error that came out of it."""
        for thing in gc.get_objects():
            if issubclass(type(thing), BurkiError):
                continue  # noted when it was made
            if issubclass(type(thing), BaseException):
                if _came_out(thing):
                    self.note("error of others", str(thing), repr(thing))
                    self._note_frames(thing)
            elif _is_ours(type(thing)):
                self.note_object(thing)

    def note_object(self, thing: object) -> None:
        """Note the `repr` of an object of the package."""
        self._looked_at[type(thing)] += 1
        if self._looked_at[type(thing)] <= MAX_OF_A_KIND:
            try:
                self.note(f"repr of {type(thing).__name__}", repr(thing), str(thing))
            except AttributeError:
                return  # it is being made

    def note_error(self, error: BaseException) -> None:
        """Note all that a log, a debugger or an error reporter may show of *error*."""
        for thing in _reachable(error):
            if type(thing).__module__.split(".")[0] in FOREIGN:
                # Whatever it holds: a request has the key in its headers, a response a body.
                self.note(f"chain of {type(error).__name__}", f"{KEY} may be in {thing!r}")
            elif isinstance(thing, BaseException):
                name = type(thing).__name__
                self.note(f"text of {name}", str(thing), repr(thing), *map(repr, thing.args))
                self.note(f"notes of {name}", *map(str, getattr(thing, "__notes__", ())))
                self.note(f"attributes of {name}", repr(vars(thing)))
                self._note_frames(thing)
        try:
            self.note("pickle", pickle.dumps(error).decode("latin-1"))
        except (TypeError, AttributeError, pickle.PicklingError):
            return  # an attribute of another owner

    def _note_frames(self, error: BaseException) -> None:
        """Note the local variables of our frames, as reporters of errors show them."""
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                place = f"local variable of {frame.f_code.co_qualname}"
                for value in frame.f_locals.values():
                    self.note(place, _shown(value))


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever it is, nothing is shown
        return ""


def _is_ours(kind: type) -> bool:
    return str(kind.__module__).startswith("aioburki")


def _came_out(error: BaseException) -> bool:
    """Return whether *error* passed through the package and reached a test."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(file.startswith(PACKAGE) for file in files) and files[0].startswith(TESTS)


_NO_DATA = (type, types.TracebackType, types.FrameType, types.ModuleType, types.FunctionType)


def _reachable(error: BaseException) -> Iterator[object]:
    """Yield *error* and all that its attributes, its cause and its context lead to."""
    waiting: list[object] = [error]
    seen: dict[int, object] = {}
    while waiting and len(seen) < MAX_OF_A_KIND:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _NO_DATA):
            continue
        seen[id(thing)] = thing
        yield thing
        if type(thing).__module__.split(".")[0] not in FOREIGN:
            waiting += gc.get_referents(thing)


@contextmanager
def watching() -> Iterator[Watch]:
    """Note what is shown inside the block; ask for its `findings` before it ends."""
    watch = Watch()
    gc.freeze()  # so that a sweep sees only what is made from here on
    try:
        with pytest.MonkeyPatch.context() as patch:
            _watch_objects(patch, watch)
            _watch_reports(patch, watch)
            _watch_output(patch, watch)
            yield watch
    finally:
        watch.errors.clear()
        gc.unfreeze()


def _after(patch: pytest.MonkeyPatch, owner: Any, name: str, look: Callable[..., object]) -> None:
    """Call *look* with the result and the arguments of each call of *owner.name*."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        result = original(*arguments, **keywords)
        look(result, *arguments, **keywords)
        return result

    patch.setattr(owner, name, wrapper)


def _watch_objects(patch: pytest.MonkeyPatch, watch: Watch) -> None:
    """Note errors and objects as they are made, and what is alive when a client is first closed."""
    _after(patch, BurkiError, "__init__", lambda _, error, *__, **___: watch.errors.append(error))
    for kind in _classes():
        _watch_first(patch, watch, kind)
    sweeps, close = iter(range(1)), BurkiClient.aclose

    @functools.wraps(close)
    async def sweep_and_close(client: BurkiClient) -> None:
        if next(sweeps, None) is not None:
            watch.sweep()
        await close(client)

    patch.setattr(BurkiClient, "aclose", sweep_and_close)


def _classes() -> set[type]:
    """Return the classes of the package whose objects are made by an ``__init__`` of their own."""
    return {
        kind
        for name, module in sys.modules.items()
        if name.startswith("aioburki")
        for kind in vars(module).values()
        if isinstance(kind, type)
        and _is_ours(kind)
        and not issubclass(kind, BaseException)
        and isinstance(vars(kind).get("__init__"), types.FunctionType)
    }


def _watch_first(patch: pytest.MonkeyPatch, watch: Watch, kind: Any) -> None:
    """Note the first objects of a class; of those that come by the thousand, not all."""
    original = kind.__init__
    left = iter(range(MAX_OF_A_KIND))

    def look(_: None, thing: object, *__: object, **___: object) -> None:
        if next(left, None) is None:
            kind.__init__ = original
        elif type(thing) is kind:
            watch.note_object(thing)

    _after(patch, kind, "__init__", look)


def _watch_reports(patch: pytest.MonkeyPatch, watch: Watch) -> None:
    """Note log records of all loggers, warnings, and what loops and the interpreter report."""
    usual = vars(logging.makeLogRecord({}))

    def note_record(_: None, __: logging.Logger, record: logging.LogRecord) -> None:
        extra = {name: value for name, value in vars(record).items() if name not in usual}
        watch.note("log record", record.getMessage(), repr(record.args), repr(extra))
        if record.exc_info:
            watch.note("log record", "".join(traceback.format_exception(*record.exc_info)))

    def note_warning(_: None, message: object, *__: object, **___: object) -> None:
        watch.note("warning", str(message), repr(message))

    def note_context(_: None, __: object, context: dict[str, Any]) -> None:
        watch.note("exception handler of a loop", repr(context))
        if isinstance(context.get("exception"), BaseException):
            watch.note_error(context["exception"])

    def note_unraisable(_: None, unraisable: Any) -> None:
        shown = (unraisable.object, unraisable.err_msg, unraisable.exc_value)
        watch.note("unraisable", *map(_shown, shown))

    _after(patch, logging.Logger, "callHandlers", note_record)
    _after(patch, warnings, "warn", note_warning)
    _after(patch, warnings, "warn_explicit", note_warning)
    _after(patch, asyncio.BaseEventLoop, "call_exception_handler", note_context)
    _after(patch, sys, "unraisablehook", note_unraisable)


def _watch_output(patch: pytest.MonkeyPatch, watch: Watch) -> None:
    """Note what tests read of their own output and of that of processes they start."""

    def note_output(result: tuple[str | bytes | None, ...], *_: object, **__: object) -> None:
        for text in result:
            if text:
                watch.note("output", text if isinstance(text, str) else text.decode("latin-1"))

    _after(patch, pytest.CaptureFixture, "readouterr", note_output)
    _after(patch, subprocess.Popen, "communicate", note_output)
