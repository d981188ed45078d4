"""Export contacts to CSV, JSON Lines and Parquet files that are either complete or not there.

The functions take contacts, or an iterator of pages::

    report = await export_csv(burki.contacts(42), "contacts.csv")

A file appears under its name when all of it is on the disk. Until then it is a temporary file
beside it with mode 0600, which is removed after an error or a cancellation.

With ``resume=True`` the contacts pulled so far are kept in a *spool* beside the target, page by
page, together with the range that is left: ``.contacts.csv.aioburki-resume``, with mode 0600. The
same call in another process continues from it, also after ``kill -9``, and ends with the rows that
one pull would have had, however the list has moved. Then the spool is removed.

- No spool: the export starts. An existing target is replaced at the end.
- ``limit`` includes the contacts in the spool.
- A spool of another campaign, status, limit or server, one that another process uses, or a file of
  that name that is no spool: `ConfigurationError`, and nothing is changed.
- A list without a usable order: the next call starts anew, with a warning in the log.
- A power failure costs about the last second of work; the target is not affected.
- The spool needs POSIX file locks; without them (Windows) ``resume=True`` is a
  `ConfigurationError`.
"""

from __future__ import annotations

from ._atomic_file import replacing
from ._csv import CSV, FIELDS, MAPPINGS, export_csv
from ._export import export
from ._format import Format
from ._jsonl import JSONL, export_jsonl, write_jsonl
from ._parquet import ParquetFormat, export_parquet
from ._spool import Spool
from ._tally import Tally

__all__ = [
    "CSV",
    "FIELDS",
    "JSONL",
    "MAPPINGS",
    "Format",
    "ParquetFormat",
    "Spool",
    "Tally",
    "export",
    "export_csv",
    "export_jsonl",
    "export_parquet",
    "replacing",
    "write_jsonl",
]
