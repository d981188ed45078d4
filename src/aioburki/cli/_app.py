"""App: the commands, and the exit code of each way to end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from .._errors import BurkiError, ConfigurationError
from .._version import __version__
from ._contacts import contacts
from ._printing import flush_if_possible, print_error
from ._sandbox import serve_sandbox

app = App(
    name="aioburki",
    help="Pull every contact of a Burki campaign. The API key is read from BURKI_API_KEY, the base "
    "URL from BURKI_BASE_URL. Exit codes: 0 done, 1 the pull failed, 2 wrong usage, 3 not proved "
    "complete (with --require-complete), 130 interrupted, 143 terminated.",
    version=__version__,
    help_format="plaintext",
)
app.command(contacts)
app.command(serve_sandbox, name="sandbox")


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    code = _run(arguments)
    for file in (sys.stdout, sys.stderr):
        flush_if_possible(file)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        code = asyncio.run(
            app.run_async(arguments, exit_on_error=False, result_action="return_value")
        )
    except CycloptsError:
        return 2  # cyclopts has printed it
    except ConfigurationError as error:
        return print_error(error, 2)
    except BurkiError as error:
        return print_error(error, 1)
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        return print_error(error, 2)
    except KeyboardInterrupt:
        return print_error("interrupted", 130)
    except asyncio.CancelledError:
        return print_error("terminated", 143)
    except BrokenPipeError:
        return 1  # the reader closed the pipe, as `head` does
    except OSError as error:
        return print_error(f"{error.strerror}: {error.filename or 'output'}", 1)
    return code if isinstance(code, int) else 0
