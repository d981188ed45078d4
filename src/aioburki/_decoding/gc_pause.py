"""Garbage collector pause, for the time in which a page is decoded.

Decoding a page allocates thousands of objects at once, and none of them is garbage. The
collector would traverse them again and again while their number grows, and every other object
of the process as well. That takes tenths of a second in which the event loop is blocked.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

# In free-threaded builds `gc.freeze` traverses all objects of the process. From 3.14 on the
# collector is incremental: it makes no long pauses, and freezing would undo its progress.
_HAS_GENERATIONS = sys.version_info < (3, 14) and "free-threading build" not in sys.version

# CPython 3.12 freezes some 400 objects itself when it starts. An application that freezes, as
# before a fork, freezes tens of thousands.
_MAX_FROZEN_BY_PYTHON = 2000 if sys.version_info[:2] == (3, 12) else 0


@contextmanager
def gc_paused(*, enabled: bool = True) -> Generator[None]:
    """Keep the garbage collector from running in the block.

    The block must not await: the collector is the whole process's. Afterwards, also if the block
    raises, it is as the application has set it: enabled, with its thresholds and with the
    objects that the application has frozen. If it was disabled, nothing is done at all.

    If a collection is due after the block, the young generations are moved to the oldest one
    without being traversed, unless the application has frozen objects. Reference counting frees
    the moved objects as before. Cyclic garbage among them is freed by the next full collection,
    later than it would have been. If another thread disables the collector while the block runs,
    it is enabled again afterwards.

    Args:
        enabled: False leaves the collector alone.
    """
    if not (enabled and gc.isenabled()):
        yield
        return
    try:
        gc.disable()
        yield
        if _HAS_GENERATIONS and _is_due() and not _has_application_frozen():
            gc.freeze()
            gc.unfreeze()
    finally:
        gc.enable()


def _is_due() -> bool:
    # A threshold of 0 means never.
    return 0 < gc.get_threshold()[0] < gc.get_count()[0]


def _has_application_frozen() -> bool:
    return gc.get_freeze_count() > _MAX_FROZEN_BY_PYTHON
