"""What to read next, and when everything has been read.

`pull` delivers the pages of one list in order, through `prefetch`, which fetches them concurrently.
There are two ways to read: `plain_reading` (`planner`: pages 1 … total_pages), and
`complete_reading` (`coverage`: pages joined in the order of their keys at the `frontier`, `seam`s
closed by probes, `order` found from the pages, `windows` of free size; `sweeps` where a list has no
usable order). `seen_ids` finds repeats, `drift` describes what moved, `unread_fields` counts fields
that have their default. Knows no HTTP, and of an item only its keys.
"""

from __future__ import annotations

from .frontier import Bounds
from .order import Column, Key, SortOrder
from .prefetch import Prefetch
from .pull import Pull, PullProgress
from .pull_options import PullObserver, PullOptions
from .reading import Proof
from .seen_ids import SeenIds
from .unread_fields import UnreadFields, warn_of_unread
from .windows import window_near

__all__ = [
    "Bounds",
    "Column",
    "Key",
    "Prefetch",
    "Proof",
    "Pull",
    "PullObserver",
    "PullOptions",
    "PullProgress",
    "SeenIds",
    "SortOrder",
    "UnreadFields",
    "warn_of_unread",
    "window_near",
]
