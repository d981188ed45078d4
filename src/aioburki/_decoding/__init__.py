"""Decoding."""

from __future__ import annotations

from .gc_pause import gc_paused
from .json_checks import Undecodable
from .page import decode_in_steps

__all__ = [
    "Undecodable",
    "decode_in_steps",
    "gc_paused",
]
