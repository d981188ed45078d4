"""Contacts command: pull the contacts of a campaign, to a file or to standard output."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from .._client import BurkiClient
from .._contacts import Contacts
from .._errors import ConfigurationError
from .._report import PullReport
from ..export import CSV, JSONL, Format, ParquetFormat, Tally, export, write_jsonl
from ..sandbox import Sandbox
from ._printing import print_error, print_if_possible, report_line, status_table
from ._progress import Progress
from ._whole_number import WHOLE

FORMATS: dict[str, Format] = {".csv": CSV, ".jsonl": JSONL, ".parquet": ParquetFormat()}

# Its contacts must not be taken for those of the server that BURKI_BASE_URL names.
SANDBOX_URL = "https://sandbox.invalid"


async def contacts(
    campaign_id: Annotated[int, WHOLE],
    /,
    *,
    status: str | None = None,
    limit: Annotated[int | None, WHOLE] = None,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
    ] = None,
    flatten: Annotated[bool, Parameter(negative=())] = False,
    resume: Annotated[bool, Parameter(negative=())] = False,
    complete: bool = True,
    require_complete: Annotated[bool, Parameter(negative=())] = False,
    sandbox: Annotated[bool, Parameter(negative=())] = False,
    progress: bool | None = None,
    per_page: Annotated[int, WHOLE] = 1000,
    concurrency: Annotated[int, WHOLE] = 8,
    rate: float | None = None,
) -> int:
    """Pull the contacts of a campaign, and print their statuses and whether these are all.

    Parameters
    ----------
    campaign_id
        Number of the campaign.
    status
        pending, in_progress, completed, failed, skipped, no_answer, busy or voicemail; default all.
    limit
        At most this many contacts.
    output
        FILE.csv, FILE.jsonl or FILE.parquet, complete or not written; - for JSON lines on standard
        output.
    flatten
        Give each key of the free-form fields a column of FILE.parquet, as FILE.csv has them.
    resume
        Keep the contacts pulled so far beside FILE, and continue an earlier run of the same
        command, also after Ctrl-C or kill -9.
    complete
        Read until it is proved that no contact was missed, however the list moves; --no-complete:
        pages of one size, and nothing is proved.
    require_complete
        Exit with 3 if it is not proved that these are all contacts; the file is written.
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
    target = Target.named(output, flatten=flatten)
    _check_usage(target, resume=resume, complete=complete, require_complete=require_complete)
    if target.path is not None:
        _cancel_on_termination()
    with Progress(progress, limit) as bar:
        async with BurkiClient(
            "sandbox" if sandbox else None,
            base_url=SANDBOX_URL if sandbox else None,
            transport=Sandbox().transport if sandbox else None,
            concurrency=concurrency,
            rate=rate,
            on_event=bar.show,
        ) as burki:
            pull = burki.contacts(
                campaign_id, status=status, limit=limit, per_page=per_page, complete=complete
            )
            tally = Tally(bar.resume)
            try:
                report = await _write(pull, target, tally, resume=resume)
            except BaseException:
                _print_kept(bar)
                raise
    summary = f"{status_table(tally.statuses)}\n{report_line(report)}"
    if target.is_written:
        print_if_possible(summary, sys.stderr if target.is_standard_output else sys.stdout)
    else:
        print(summary, flush=True)
    if require_complete and not report.complete:
        return print_error("it is not proved that these are all contacts", 3)
    return 0


@attrs.frozen
class Target:
    """Destination of the contacts: a file, standard output, or none.

    Attributes:
        path: path of the file, or None.
        file_format: format of the file.
        is_standard_output: whether the contacts are written to standard output.
    """

    path: Path | None = None
    file_format: Format = JSONL
    is_standard_output: bool = False

    @property
    def is_written(self) -> bool:
        """Return whether the contacts are written anywhere."""
        return self.is_standard_output or self.path is not None

    @classmethod
    def named(cls, output: str | None, *, flatten: bool) -> Target:
        """Return the target that ``--output`` names.

        Raises:
            ConfigurationError: it is neither ``-`` nor the name of a file of a known format, or
                *flatten* is given and the format is not Parquet.
        """
        suffix = Path(output or "").suffix.lower()
        if flatten and suffix != ".parquet":
            raise ConfigurationError("--flatten needs a table: add --output FILE.parquet")
        if output is None or output == "-":
            return cls(is_standard_output=output == "-")
        if suffix not in FORMATS:
            raise ConfigurationError(
                "--output must end in .csv, .jsonl or .parquet, or be - for standard output"
            )
        return cls(Path(output), ParquetFormat(flatten=True) if flatten else FORMATS[suffix])


def _check_usage(target: Target, *, resume: bool, complete: bool, require_complete: bool) -> None:
    if target.is_standard_output and sys.stdout is None:
        raise ConfigurationError("--output - needs a standard output, which is closed")
    if resume and target.path is None:
        raise ConfigurationError("--resume needs a file: add --output FILE.csv, .jsonl or .parquet")
    if resume and not complete:
        raise ConfigurationError("--resume needs a complete pull: leave out --no-complete")
    if require_complete and not complete:
        raise ConfigurationError(
            "--no-complete proves nothing: leave it out, or leave out --require-complete"
        )


def _cancel_on_termination() -> None:
    """Cancel this task on SIGTERM and SIGHUP, so that the temporary file is removed."""
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # Windows has no such signals
            number = getattr(signal, name)
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP; keep that
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _write(pull: Contacts, target: Target, tally: Tally, *, resume: bool) -> PullReport:
    """Write the contacts of *pull* to *target*, and return its report."""
    if target.path is not None:
        report = await export(pull, target.path, target.file_format, resume=resume, tally=tally)
        assert report is not None
        return report
    async with pull.stream() as stream, aclosing(tally.counted(stream.pages())) as pages:
        if target.is_standard_output:
            # JSON is UTF-8 (RFC 8259), whatever the locale says.
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8")
            await write_jsonl(pages, sys.stdout)
            sys.stdout.flush()
        else:
            async for _ in pages:
                pass
    return stream.report


def _print_kept(bar: Progress) -> None:
    """Print how many contacts are kept for the next run, if there are some."""
    spool = bar.spool
    if spool is None or not spool.path.exists():
        return
    if spool.contacts and (spool.progress.has_order or spool.progress.is_ended):
        print_error(
            f"{spool.contacts:,} contacts are kept in {spool.path}: the same command "
            "resumes behind them",
            0,
        )
