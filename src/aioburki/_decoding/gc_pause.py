"""Collector: Python's garbage collector, kept from walking over pages as they are built.

A page is thousands of objects at once, none of them garbage. The collector would look at them
again and again while they become more, and at everything else the process holds, for tenths
of a second in which the event loop stands still.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

# Without the GIL freezing walks over all there is; from 3.14 on the collector makes no long
# pauses, and freezing would undo its progress.
_HAS_GENERATIONS = sys.version_info < (3, 14) and "free-threading build" not in sys.version


@contextmanager
def gc_paused() -> Generator[None]:
    """Keep the collector from running in the block, and from looking at what was built there.

    The block must not wait: the collector is the whole process's, and afterwards it is as the
    application has set it, also if the block raises: on, with its thresholds and with the
    objects that the application has frozen. If it was off, nothing is done at all.

    If a collection has come due by then, what is young becomes old unseen, unless anything is
    frozen already. Reference counting frees it as ever; if it is cyclic garbage, the next full
    collection does, which comes later than it would have. Another thread that switches the
    collector off just while a block runs finds it on again.
    """
    if not gc.isenabled():
        yield
        return
    try:
        gc.disable()
        yield
        if _HAS_GENERATIONS and _is_due() and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
    finally:
        gc.enable()


def _is_due() -> bool:
    # A threshold of 0 means never.
    return 0 < gc.get_threshold()[0] < gc.get_count()[0]
