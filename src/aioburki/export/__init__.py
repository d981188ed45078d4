"""Write contacts to CSV and JSON lines files that are there complete or not at all."""

from __future__ import annotations

from ._files import FIELDS, MAPPINGS, export_csv, export_jsonl, replacing, write_jsonl

__all__ = ["FIELDS", "MAPPINGS", "export_csv", "export_jsonl", "replacing", "write_jsonl"]
