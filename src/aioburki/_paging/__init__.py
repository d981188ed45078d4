"""Paging."""

from __future__ import annotations

from .prefetch import Prefetch
from .pull import Pull, Running

__all__ = [
    "Prefetch",
    "Pull",
    "Running",
]
