"""Requests."""

from __future__ import annotations

from .attempt import AttemptRunner
from .fetcher import Fetcher
from .sender import ClientSender, LaneSender, Sender

__all__ = [
    "AttemptRunner",
    "ClientSender",
    "Fetcher",
    "LaneSender",
    "Sender",
]
