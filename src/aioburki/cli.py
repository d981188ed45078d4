"""Command line: ``aioburki contacts`` pulls contacts, ``aioburki sandbox`` serves the sandbox.

The API key is read from BURKI_API_KEY only: other users of the machine can see the arguments of a
process. Exit codes: 0 done, 1 the pull failed, 2 wrong usage, 130 interrupted, 143 terminated while
a file was written.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated, Self

from cyclopts import App, CycloptsError, Parameter
from tqdm import tqdm

from ._client import BurkiClient
from ._errors import BurkiError, ConfigurationError
from ._events import Event, PageFetched, PauseStarted
from ._models import ContactPage
from ._version import __version__
from .export import export_csv, export_jsonl, write_jsonl
from .sandbox import Sandbox, serve

app = App(
    name="aioburki",
    help="Pull every contact of a Burki campaign. The API key is read from BURKI_API_KEY, the base "
    "URL from BURKI_BASE_URL. Exit codes: 0 done, 1 the pull failed, 2 wrong usage, "
    "130 interrupted, 143 terminated.",
    version=__version__,
    help_format="plaintext",
)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = asyncio.run(
            app.run_async(arguments, exit_on_error=False, result_action="return_value")
        )
    except CycloptsError:
        return 2  # cyclopts has printed it
    except ConfigurationError as error:
        return _print_error(error, 2)
    except BurkiError as error:
        return _print_error(error, 1)
    except KeyboardInterrupt:
        return _print_error("interrupted", 130)
    except asyncio.CancelledError:
        return _print_error("terminated", 143)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. Python would print an error when it flushes
        # standard output at exit: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _print_error(f"{error.strerror}: {error.filename or 'output'}", 1)
    return code if isinstance(code, int) else 0


@app.command
async def contacts(
    campaign_id: int,
    /,
    *,
    status: str | None = None,
    limit: int | None = None,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
    ] = None,
    sandbox: Annotated[bool, Parameter(negative=())] = False,
    progress: bool | None = None,
    per_page: int = 1000,
    concurrency: int = 8,
    rate: float | None = None,
) -> int:
    """Pull the contacts of a campaign and count their statuses.

    Parameters
    ----------
    campaign_id
        Number of the campaign.
    status
        pending, in_progress, completed, failed, skipped, no_answer, busy or voicemail; default all.
    limit
        At most this many contacts.
    output
        FILE.csv or FILE.jsonl, complete or not written; - for JSON lines on standard output.
    sandbox
        Pull made-up contacts of campaign 42 from the embedded sandbox; needs no key.
    progress
        Show progress on standard error; by default only if that is a terminal.
    per_page
        Contacts per page, 1 to 1000.
    concurrency
        Maximum number of requests in flight, 1 to 1000.
    rate
        Maximum number of requests per second; by default what the server allows.
    """
    target = _target(output)
    if isinstance(target, Path):
        _cancel_on_termination()
    with _Progress(sys.stderr.isatty() if progress is None else progress, limit) as bar:
        async with BurkiClient(
            "sandbox" if sandbox else None,
            transport=Sandbox().transport if sandbox else None,
            concurrency=concurrency,
            rate=rate,
            on_event=bar.show,
        ) as burki:
            pull = burki.contacts(campaign_id, status=status, limit=limit, per_page=per_page)
            counts: Counter[str] = Counter()
            async with aclosing(_counted(pull.pages(), counts)) as pages:
                await _write(pages, target)
    print(_table(counts), file=sys.stderr if target == "-" else sys.stdout)
    return 0


@app.command(name="sandbox")
async def serve_sandbox(
    *,
    contacts: int = 10_000,
    port: int = 8042,
    seed: int = 0,
    latency: float = 0.0,
    rate: float | None = None,
    faults: float = 0.0,
) -> int:
    """Serve the sandbox over HTTP on 127.0.0.1, until interrupted.

    Parameters
    ----------
    contacts
        Number of contacts in campaign 42.
    port
        TCP port, 0 to 65535; 0 for any that is free.
    seed
        The same seed gives the same contacts and faults.
    latency
        Seconds before each response.
    rate
        Requests per second; requests above it get a 429.
    faults
        Share of requests that fail, 0 to 1.
    """
    if not 0 <= port <= 65_535:
        raise ConfigurationError(f"port must be a whole number from 0 to 65,535, not {port}")
    box = Sandbox(contacts, seed=seed, latency=latency, rate=rate, faults=faults)
    try:
        await serve(box, port, _announce)
        # uvicorn raises the signal again when it has stopped; the cancellation arrives here.
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        pass  # Ctrl-C is the normal way to stop a server
    except ModuleNotFoundError:
        return _print_error(
            "serving the sandbox needs more packages: pip install 'aioburki[sandbox]'", 2
        )
    except OSError as error:
        return _print_error(f"port {port} cannot be used: {error.strerror}", 1)
    return 0


def _cancel_on_termination() -> None:
    """Cancel this task on SIGTERM and SIGHUP, so that the temporary file is removed."""
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # Windows has no such signals
            number = getattr(signal, name)
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP; keep that
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _announce(url: str) -> None:
    print(f"Campaign 42 is served on {url}; press Ctrl-C to stop. In another terminal:", flush=True)
    print(f"  BURKI_BASE_URL={url} BURKI_API_KEY=any aioburki contacts 42", flush=True)


def _target(output: str | None) -> Path | str | None:
    """Return the path to write to, ``"-"`` for standard output, or None.

    Raises:
        ConfigurationError: *output* is neither ``-`` nor the name of a CSV or JSONL file.
    """
    if output is None or output == "-":
        return output
    if Path(output).suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigurationError("--output must end in .csv or .jsonl, or be - for standard output")
    return Path(output)


async def _counted(
    pages: AsyncGenerator[ContactPage, None], counts: Counter[str]
) -> AsyncGenerator[ContactPage, None]:
    """Yield *pages* unchanged and count the statuses of their contacts."""
    async with aclosing(pages):
        async for page in pages:
            counts.update(_printable(contact.status) for contact in page)
            yield page


async def _write(pages: AsyncGenerator[ContactPage, None], target: Path | str | None) -> None:
    """Write *pages* to *target*; for None only read them."""
    if isinstance(target, Path):
        export = export_csv if target.suffix.lower() == ".csv" else export_jsonl
        await export(pages, target)
    elif target == "-":
        # JSON is UTF-8 (RFC 8259), whatever the locale says.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        await write_jsonl(pages, sys.stdout)
        sys.stdout.flush()
    else:
        async for _ in pages:
            pass


def _table(counts: Counter[str]) -> str:
    rows = [*sorted(counts.items(), key=lambda item: -item[1]), ("total", counts.total())]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>12,}" for name, count in rows)


def _printable(text: str) -> str:
    """Return *text* without terminal control sequences; the server may send any status."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Progress:
    """A progress bar fed by the events of a pull: contacts, rate, time left, pages, pauses."""

    def __init__(self, enabled: bool, limit: int | None) -> None:
        self._bar = tqdm(unit=" contacts", unit_scale=True, disable=not enabled)
        self._limit = limit
        self._pages = 0
        self._pauses = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, event: Event) -> None:
        """Update the bar for *event*."""
        if isinstance(event, PageFetched):
            self._pages += 1
            expected = event.total_items
            if self._limit is not None:
                expected = min(expected, self._limit)
            self._bar.total = max(self._bar.total or 0, expected)
            self._bar.update(min(event.contacts, self._bar.total - self._bar.n))
            self._bar.set_postfix_str(self._summary(event.total_pages), refresh=False)
        elif isinstance(event, PauseStarted):
            self._pauses += 1
            self._bar.set_postfix_str(f"paused for {event.seconds:.1f} s, HTTP 429")

    def _summary(self, total_pages: int) -> str:
        pauses = f", {self._pauses} pauses" if self._pauses else ""
        return f"page {self._pages}/{total_pages}{pauses}"


def _print_error(error: object, code: int) -> int:
    """Print *error* to standard error and return *code*."""
    print(f"aioburki: {error}", file=sys.stderr)
    return code
