"""Whether the database is still at its path, and not a file that only this process knows. Blocks shortly.

SQLite goes on to write into a file that was removed or renamed, as if nothing had happened; what is in it is lost with
the process. The files are told apart by device and inode, which no other file gets while they are open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relay.delivery.spool_errors import DiskTrouble, explained

if TYPE_CHECKING:
    from pathlib import Path


class Directory(Protocol):
    """The state directory."""

    def check(self) -> None:
        """Raise DiskTrouble if it is not at its path any more, or cannot be used."""

    def ensure(self) -> None:
        """Raise OSError for the same reasons."""


class Place:
    """State: which files were opened."""

    def __init__(self, directory: Directory | None, *paths: Path) -> None:
        self._directory = directory
        self._paths = paths
        self._opened: dict[Path, tuple[int, int]] = {}

    def __repr__(self) -> str:
        """Report the files."""
        return f"<Place {', '.join(path.name for path in self._opened)}>"

    def check_directory(self) -> None:
        """Raise DiskTrouble if there is no directory to open anything in."""
        if self._directory is not None:
            self._directory.check()

    def opened(self) -> None:
        """What is at the paths now is what this process works with."""
        self._opened.clear()
        self._learn()

    def check(self) -> None:
        """Compare.

        Raises:
            DiskTrouble: removed or moved, the directory; replaced, a file in it.
        """
        self.check_directory()
        self._learn()
        for path, known in self._opened.items():
            if _identity(path) != known:
                raise DiskTrouble("replaced", f"{path} was removed or replaced")

    def is_ours(self, path: Path) -> bool:
        """Say whether the file at a path is the one that was opened."""
        return _identity(path) == self._opened.get(path)

    def _learn(self) -> None:
        """SQLite makes the log when it needs it."""
        for path in self._paths:
            if path not in self._opened and (now := _identity(path)):
                self._opened[path] = now


def _identity(path: Path) -> tuple[int, int] | None:
    with explained(path.parent):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
    return status.st_dev, status.st_ino
