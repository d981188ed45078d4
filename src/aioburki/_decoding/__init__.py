"""Bytes to objects: what an answer holds becomes a `Page` of items, or a list of its problems.

`page` decides in which of three ways an answer is decoded, `fast` and `tolerant` are these ways,
`json_checks` refuses JSON that cannot be trusted, `fields` reads single values, `gc_pause` keeps
the garbage collector from running meanwhile. Knows no endpoint: an endpoint makes a `PageDecoder`.
"""

from __future__ import annotations

from .fast import RowReader
from .fields import (
    Hook,
    MisfitError,
    read_datetime,
    read_integer,
    read_mapping,
    read_optional_count,
    read_optional_text,
    read_text,
)
from .gc_pause import gc_paused
from .json_checks import Undecodable
from .page import PageDecoder
from .tolerant import MAX_ROWS, fields_hook

__all__ = [
    "MAX_ROWS",
    "Hook",
    "MisfitError",
    "PageDecoder",
    "RowReader",
    "Undecodable",
    "fields_hook",
    "gc_paused",
    "read_datetime",
    "read_integer",
    "read_mapping",
    "read_optional_count",
    "read_optional_text",
    "read_text",
]
