"""Effects on the whole process: the garbage collector and the filters of loggers."""

from __future__ import annotations

import json
import subprocess
import sys

from aioburki import BurkiClient
from aioburki._http.redacted_log import LOGGERS

STATE = """
import asyncio, gc, json, logging, sys

def state():
    loggers = {"root": logging.root, **logging.root.manager.loggerDict}
    return gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), {
        name: (
            [repr(each) for each in logger.filters], [repr(each) for each in logger.handlers],
            logger.level, logger.propagate, logger.disabled,
        )
        for name, logger in loggers.items()
        if isinstance(logger, logging.Logger)
    }

def filters():
    return {name: len(logging.getLogger(name).filters) for name in json.loads(sys.argv[1])}
"""

IMPORT = """
import httpx, httpcore, h11, anyio
for name in json.loads(sys.argv[1]):
    logging.getLogger(name)
logging.getLogger("aioburki"), logging.getLogger("asyncio"), logging.getLogger("concurrent.futures")
before = state()
import aioburki, aioburki.sandbox, aioburki.export, aioburki.cli
after = state()
assert before[:3] == after[:3]
assert {name: after[3][name] for name in before[3]} == before[3]
new = {name: after[3][name] for name in after[3] if name not in before[3]}
assert new == dict.fromkeys(new, ([], [], logging.NOTSET, True, False))
"""

REFUSED = """
import aioburki
try:
    aioburki.BurkiClient("k", timeout=0)
except aioburki.ConfigurationError:
    pass
assert set(filters().values()) == {0}
"""

SEVERAL_CLIENTS = """
import aioburki
from aioburki.sandbox import Sandbox

async def pull():
    async with aioburki.BurkiClient("k", transport=Sandbox(10).transport) as burki:
        await burki.contacts(42)

for _ in range(3):
    aioburki.BurkiClient("k")
    asyncio.run(pull())
assert set(filters().values()) == {1}
"""


def run(script: str) -> None:
    command = [sys.executable, "-c", STATE + script, json.dumps(LOGGERS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_import_changes_nothing() -> None:
    """Importing the package leaves every logger and the garbage collector as they were."""
    run(IMPORT)


def test_refused_client_adds_no_filter() -> None:
    """A client whose arguments are refused leaves the loggers as they were."""
    run(REFUSED)


def test_filters_are_added_once() -> None:
    """After several clients and pulls each logger of httpx and httpcore has one filter."""
    run(SEVERAL_CLIENTS)


def test_effects_are_documented() -> None:
    """The docstring of the client names both effects and the switch."""
    text = BurkiClient.__doc__ or ""
    assert all(each in text for each in ("garbage collector", "pause_gc=False", "logging.Filter"))
