"""Disk space held in reserve: on a full disk SQLite cannot even delete, unless somebody gives up some blocks.

As large as the write-ahead log of the largest transaction, so that one more can be written after it is given up. Every
method blocks: call it from the writer thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Ballast:
    """State: the file; `held` says whether it has its blocks."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.held = False

    def __repr__(self) -> str:
        """Report whether it is there."""
        return f"<Ballast {self._size} bytes, {'held' if self.held else 'given up'}>"

    def hold(self) -> None:
        """Allocate the blocks.

        Raises:
            OSError: disk full, read-only; nothing of it stays allocated.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
            os.ftruncate(descriptor, self._size)
            self.held = True
        except OSError:
            os.ftruncate(descriptor, 0)
            raise
        finally:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Free the blocks; return whether there were any. The file stays: a directory may have no inode to spare."""
        try:
            given = self._path.lstat().st_blocks > 0
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.ftruncate(descriptor, 0)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        self.held = False
        return given
