"""Windows of which a later start may find a part on disk, so that they must not leave from memory.

A checkpoint holds what a window had a moment ago. If the requests of the window cannot be stored and go out all the
same, a start finds the checkpoint, not the requests, and sends the window again with a smaller value (I8). So a window
counts as on disk from before the first byte of its checkpoint is written until that is gone for certain. The same holds
for the window that a stop closes early, if the next start would open its id again: only a stored id prevents that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


class Parts:
    """State: the ids of those windows, and of the one that a stop closes."""

    def __init__(self, on_gone: Callable[[Collection[int]], None] = lambda _: None) -> None:
        self._windows: set[int] = set()
        self._last: int | None = None
        self._on_gone = on_gone

    def __repr__(self) -> str:
        """Report the ids."""
        return f"<Parts {sorted(self._windows)}>"

    def __contains__(self, window: int) -> bool:
        """Say whether a start could send a window again, unless its requests are stored."""
        return window in self._windows or window == self._last

    def void(self, committed: Collection[int]) -> list[int]:
        """Return the windows whose checkpoint nobody needs: they are committed, and no start opens them again."""
        return [window for window in self._windows if window in committed and window != self._last]

    def add(self, *windows: int) -> None:
        """The disk may hold a part of these windows from now on."""
        self._windows.update(windows)

    def close_last(self, window: int) -> None:
        """A stop closes this window early, and the next start opens it again unless its id is stored."""
        self._last = window

    def stored(self, windows: Collection[int]) -> None:
        """The ids of these windows are on disk: their checkpoints are void, whatever a start finds."""
        if self._last in windows:
            self._last = None

    def remove(self, windows: Iterable[int]) -> None:
        """The disk holds no part of these windows any more."""
        gone = self._windows.intersection(windows)
        self._windows -= gone
        if gone:
            self._on_gone([window for window in gone if window != self._last])

    def clear(self) -> None:
        """The disk holds no part of any window any more."""
        self.remove(list(self._windows))
