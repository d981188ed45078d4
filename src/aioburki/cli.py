"""Command line: ``aioburki contacts`` pulls, ``aioburki sandbox`` serves the sandbox.

The API key comes from BURKI_API_KEY alone: what stands on a command line is visible to
everybody on the machine. Exit codes: 0 done, 1 the pull failed, 2 usage, 130 interrupted,
143 terminated while a file was written.
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
from typing import Annotated

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
    help="Pull every contact of a Burki campaign. The API key comes from BURKI_API_KEY, the server "
    "from BURKI_BASE_URL. Exit codes: 0 done, 1 the pull failed, 2 usage, 130 interrupted.",
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
        return 2  # it has been printed
    except ConfigurationError as error:
        return _complain(error, 2)
    except BurkiError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except asyncio.CancelledError:
        return _complain("terminated", 143)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _complain(f"{error.strerror}: {error.filename or 'output'}", 1)
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
        Only contacts of this status: pending, in_progress, completed, failed, skipped, no_answer,
        busy or voicemail.
    limit
        At most this many contacts.
    output
        FILE.csv or FILE.jsonl, written complete or not at all; - for JSON lines on standard
        output.
    sandbox
        Use made-up contacts of campaign 42 instead of the API; no key is needed.
    progress
        Show progress on standard error; by default if that is a terminal.
    per_page
        Contacts in one request, 1 to 1000.
    concurrency
        Most requests in flight at once.
    rate
        Most requests per second.
    """
    target = _checked_target(output)
    if isinstance(target, Path):
        _clean_up_when_told_to_end()
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
        How many contacts campaign 42 has.
    port
        TCP port; 0 for any that is free.
    seed
        The same seed gives the same contacts and faults.
    latency
        Seconds before each answer.
    rate
        Requests per second, above which the answer is 429.
    faults
        Share of requests that fail, 0 to 1.
    """
    if not 0 <= port <= 65_535:
        raise ConfigurationError(f"port must be a whole number from 0 to 65,535, not {port}")
    box = Sandbox(contacts, seed=seed, latency=latency, rate=rate, faults=faults)
    # Ctrl-C is how a server is stopped, not how it fails.
    try:
        await serve(box, port, _announce)
        await asyncio.sleep(0)  # uvicorn passes the signal on when it has stopped; it arrives here
    except asyncio.CancelledError:
        pass
    except ModuleNotFoundError:
        return _complain("serving needs more packages: pip install 'aioburki[sandbox]'", 2)
    except OSError as error:
        return _complain(f"port {port} cannot be used: {error.strerror}", 1)
    return 0


def _clean_up_when_told_to_end() -> None:
    """Cancel this task on SIGTERM and SIGHUP, so that no temporary file stays behind."""
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # systems without such signals
            number = getattr(signal, name)
            if signal.getsignal(number) is signal.SIG_DFL:  # and not ignored, as by nohup
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _announce(url: str) -> None:
    print(f"Campaign 42 is served on {url}; press Ctrl-C to stop. In another terminal:", flush=True)
    print(f"  BURKI_BASE_URL={url} BURKI_API_KEY=any aioburki contacts 42", flush=True)


def _checked_target(output: str | None) -> Path | str | None:
    if output is None or output == "-":
        return output
    if Path(output).suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigurationError("--output must end in .csv or .jsonl, or be - for standard output")
    return Path(output)


async def _counted(
    pages: AsyncGenerator[ContactPage, None], counts: Counter[str]
) -> AsyncGenerator[ContactPage, None]:
    async with aclosing(pages):
        async for page in pages:
            counts.update(_printable(contact.status) for contact in page)
            yield page


async def _write(pages: AsyncGenerator[ContactPage, None], target: Path | str | None) -> None:
    if isinstance(target, Path):
        export = export_csv if target.suffix.lower() == ".csv" else export_jsonl
        await export(pages, target)
    elif target == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):  # whatever the locale says, JSON is UTF-8
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
    """Return *text* so that it cannot steer a terminal; a status may be anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Progress:
    """Show pages, contacts, rate, pauses and time left of a pull, from its events."""

    def __init__(self, enabled: bool, limit: int | None) -> None:
        self._bar = tqdm(unit=" contacts", unit_scale=True, disable=not enabled)
        self._limit = limit
        self._pages = 0
        self._pauses = 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, event: Event) -> None:
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


def _complain(what: object, code: int) -> int:
    print(f"aioburki: {what}", file=sys.stderr)
    return code
