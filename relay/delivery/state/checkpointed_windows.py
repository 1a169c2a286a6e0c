"""Windows that a later start may find in a checkpoint on disk; they must not be sent from memory.

Suppose that a window has a checkpoint, and that its requests are sent without being stored. Then a start finds the
checkpoint without the requests, and sends the window again with a smaller value (I8). So a window is listed here
before the first byte of its checkpoint is written, and until that file is certainly gone. The window that a stop closes
early is listed, too: the next start opens its id again unless the id is stored.

A window with stored requests also waits until its checkpoint is gone. Otherwise a start that finds the checkpoint but
no database would send the window again. So the disk has one record of a window when it is sent.

Not known here: how files are written and removed (checkpoint.py).
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

_NAME: Final = re.compile(r"checkpoint-(\d{1,12})\.srp")


def list_checkpoints(directory: Path) -> dict[int, int]:
    """Return the sizes of the checkpoints in a directory, by window; an empty one is void. Blocks.

    Other names, and names that are not regular files, are ignored.

    Raises:
        OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        found = [(_NAME.fullmatch(entry.name), entry) for entry in entries if entry.is_file(follow_symlinks=False)]
        return {int(match[1]): entry.stat(follow_symlinks=False).st_size for match, entry in found if match}


class CheckpointedWindows:
    """State: the ids of these windows, and of the one that a stop closes."""

    def __init__(self, on_gone: Callable[[Collection[int]], None] = lambda _: None) -> None:
        self._windows: set[int] = set()
        self._last: int | None = None
        self._on_gone = on_gone
        self._some_are_void = asyncio.Event()

    def __contains__(self, window: int) -> bool:
        """Return whether a start could send a window again, unless its requests are stored."""
        return window in self._windows or window == self._last

    def void(self, committed: Collection[int]) -> list[int]:
        """Return the committed windows among these, but the last one of a stop: their checkpoints are void."""
        return [window for window in self._windows if window in committed and window != self._last]

    def add(self, *windows: int) -> None:
        """Add windows: the disk may hold a checkpoint of them from now on."""
        self._windows.update(windows)

    def notify_void(self) -> None:
        """Wake `wait_for_void`: some of these windows are committed, so their checkpoints can be removed."""
        self._some_are_void.set()

    async def wait_for_void(self) -> None:
        """Wait until checkpoints are void and can be removed, since the last call."""
        await self._some_are_void.wait()
        self._some_are_void.clear()

    def replace(self, windows: Collection[int]) -> None:
        """List these windows, and no others: a start found their checkpoints."""
        self.remove(self._windows.difference(windows))
        self.add(*windows)

    def close_last(self, window: int) -> None:
        """Add the window that a stop closes early; the next start opens it again unless its id is stored."""
        self._last = window

    def mark_stored(self, windows: Collection[int]) -> None:
        """Record that the ids of these windows are on disk: a start does not open them again."""
        if self._last in windows:
            self._last = None

    def remove(self, windows: Iterable[int]) -> None:
        """Remove windows: the disk holds no checkpoint of them any more."""
        gone = self._windows.intersection(windows)
        self._windows -= gone
        if gone:
            self._on_gone([window for window in gone if window != self._last])

    def clear(self) -> None:
        """Remove all windows: the disk holds no checkpoint any more."""
        self.remove(list(self._windows))
