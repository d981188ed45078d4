"""Closing: page 1, read once more when the end of the list has been read."""

from __future__ import annotations

# Maximum readings of page 1. On a list that moves fast it may lack items that were read, because
# the items that replaced them are still unread: then the end is read again, and page 1 after it.
MAX_READINGS = 3


class Closing:
    """Decide whether page 1 is read once more before the end, and what follows from it.

    Attributes:
        is_open: whether page 1 is to be read, and nothing else.
        must_read_head: whether page 1 is read even if the list has not moved.
        is_broken: whether it has shown that items changed their place.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.must_read_head = False
        self.is_broken = False
        self._is_checked = False
        self._is_certain = False
        self._is_over = False
        self._readings = 0

    def start(self, *, is_needed: bool, is_certain: bool, is_over: bool) -> bool:
        """Return whether the pull ends here; otherwise page 1 is read first, or the end again.

        Args:
            is_needed: whether page 1 must be read once more, unless it has been.
            is_certain: whether nothing had come behind the end when it was read.
            is_over: whether nothing more is wanted, even if the list goes on.
        """
        if (is_needed or self.must_read_head) and not self._is_checked:
            self.is_open, self._is_certain, self._is_over = True, is_certain, is_over
            return False
        return is_certain or is_over

    def finish(self, *, fits: bool, is_all: bool) -> bool:
        """Return whether the pull ends here, now that page 1 has been read.

        Args:
            fits: whether page 1 agrees with what was read.
            is_all: whether the server counts no more items than have been read.
        """
        self.is_open = False
        self._readings += 1
        has_ended = self._is_over or (self._is_certain and is_all)
        self._is_checked = fits
        self.is_broken = not fits and (has_ended or self._readings >= MAX_READINGS)
        return fits and has_ended

    def reset(self) -> None:
        """Begin again, with a list that is read from its start."""
        self.is_open = self._is_checked = False
