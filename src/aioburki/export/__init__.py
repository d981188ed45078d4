"""Export contacts to CSV and JSON Lines files that are either complete or not there.

The functions take the pages of a pull::

    await export_csv(burki.contacts(42).pages(), "contacts.csv")

A file appears under its name when all of it is on the disk. Until then it is a temporary file
beside it with mode 0600, which is removed after an error or a cancellation.
"""

from __future__ import annotations

from ._atomic_file import replacing
from ._csv import FIELDS, MAPPINGS, export_csv
from ._jsonl import export_jsonl, write_jsonl

__all__ = ["FIELDS", "MAPPINGS", "export_csv", "export_jsonl", "replacing", "write_jsonl"]
