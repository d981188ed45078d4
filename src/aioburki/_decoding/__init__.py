"""Bytes to objects: decode the body of a response to a `Page` of items, or to a list of problems.

`page` tries three readers in turn: two in `fast`, the third is `tolerant`. `json_checks` refuses
unsafe or ambiguous JSON, `fields` reads single values, `optional` gives fields that cannot be read
their default, `gc_pause` pauses the garbage collector.
Nothing here knows an endpoint: each endpoint makes a `PageDecoder`.
"""

from __future__ import annotations

from .fast import RowReader
from .fields import (
    Hook,
    MisfitError,
    read_bool,
    read_datetime,
    read_integer,
    read_mapping,
    read_object,
    read_optional_count,
    read_optional_text,
    read_text,
)
from .gc_pause import gc_paused
from .json_checks import Undecodable
from .page import PageDecoder
from .problems import first, problems_of
from .tolerant import MAX_ROWS, fields_hook

__all__ = [
    "MAX_ROWS",
    "Hook",
    "MisfitError",
    "PageDecoder",
    "RowReader",
    "Undecodable",
    "fields_hook",
    "first",
    "gc_paused",
    "problems_of",
    "read_bool",
    "read_datetime",
    "read_integer",
    "read_mapping",
    "read_object",
    "read_optional_count",
    "read_optional_text",
    "read_text",
]
