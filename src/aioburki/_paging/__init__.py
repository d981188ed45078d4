"""What to read next, and when everything has been read.

`pull` delivers the pages of one list in order, `planner` decides which windows to ask for,
`prefetch` fetches them concurrently, `seen_ids` finds repeats, `drift` finds changes of the list.
Knows no HTTP, and of an item only its key.
"""

from __future__ import annotations

from .prefetch import Prefetch
from .pull import Pull, PullOptions, PullProgress

__all__ = ["Prefetch", "Pull", "PullOptions", "PullProgress"]
