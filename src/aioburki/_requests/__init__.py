"""Requests."""

from __future__ import annotations

from .attempt import AttemptRunner
from .fetcher import Fetcher
from .sender import Sender

__all__ = [
    "AttemptRunner",
    "Fetcher",
    "Sender",
]
