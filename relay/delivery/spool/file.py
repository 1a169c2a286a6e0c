"""The database as files: format checks before SQLite opens it, the ballast, and the files that are open.

Every function blocks: call it from the writer thread. Not known here: the connection, and when something is written.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.delivery.spool.errors import Damaged, DiskTrouble, translate_errors
from relay.delivery.spool.schema import VERSION
from relay.delivery.state.private_files import open_private

if TYPE_CHECKING:
    from pathlib import Path

    from relay.delivery.state.directory import StateDirectory


_COPY_MAX: Final = 64 * 1024 * 1024
_HEADER: Final = b"SQLite format 3\0"


def read_format_version(path: Path) -> int | None:
    """Return the format version of the file; None if it is new. It is read first, as SQLite would change a newer file.

    Raises:
        Damaged: not a database, or of a newer release.
        DiskTrouble: the file cannot be read.
    """
    with translate_errors(path.parent), suppress(FileNotFoundError):
        descriptor = open_private(path, os.O_RDONLY)
        try:
            header = os.read(descriptor, 100)
        finally:
            os.close(descriptor)
        return _version(header) if header else None
    return None


def _version(header: bytes) -> int:
    if not header.startswith(_HEADER):
        raise Damaged("corrupt", "not a database")
    version = int.from_bytes(header[60:64], "big")
    if version > VERSION:
        raise Damaged("newer", f"written by a newer release (format {version}, this one knows {VERSION})")
    return version


def make_private(path: Path) -> None:
    """Create the file with mode 0600; SQLite gives the log and the index the same mode."""
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))


def set_aside(path: Path, label: str) -> str:
    """Rename the file and its log, unchanged; return the new name. The relay never deletes them.

    Raises:
        DiskTrouble: the disk fails.
    """
    target, number = path.with_name(f"{path.name}.{label}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{label}.{number}")
    with translate_errors(path.parent):
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(f"{path.name}{suffix}").rename(f"{target}{suffix}")
    return target.name


def salvage(path: Path) -> tuple[set[int], dict[str, bytes]]:
    """Read committed ids and state from a file that cannot be opened for writing; both empty if that fails, too.

    Committed windows must not open again (I8). The log that a crash leaves cannot be read in place. So a small file is
    copied together with its log, and a large one is read without its log.
    """
    with suppress(sqlite3.Error, OSError), tempfile.TemporaryDirectory() as scratch:
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and path.stat().st_size <= _COPY_MAX:
            shutil.copy(wal, scratch)
            return _read_marks(f"file:{shutil.copy(path, scratch)}")
    try:
        return _read_marks(f"file:{path}?mode=ro&immutable=1")
    except sqlite3.Error:
        return set(), {}


def _read_marks(uri: str) -> tuple[set[int], dict[str, bytes]]:
    with closing(sqlite3.connect(uri, uri=True)) as db:
        windows = {row[0] for row in db.execute("SELECT id FROM windows WHERE id BETWEEN 0 AND ?", (limits.YEAR_MAX,))}
        return windows, dict(db.execute("SELECT key, value FROM state WHERE typeof(value) = 'blob'").fetchall())


# --- ballast ---------------------------------------------------------------------------------------------------------

# Reserved disk space: on a full disk even a deletion by SQLite needs new blocks. The ballast is as large as the log of
# the largest transaction, so that one more can be written after it is given up.


class Ballast:
    """State: the file."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def allocate(self) -> None:
        """Allocate the blocks.

        Raises:
            OSError: disk full or read-only; no block stays allocated.
        """
        descriptor = open_private(self._path, os.O_WRONLY | os.O_CREAT)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
            os.ftruncate(descriptor, self._size)
        except OSError:
            os.ftruncate(descriptor, 0)
            raise
        finally:
            os.close(descriptor)

    def free(self) -> bool:
        """Free the blocks; return whether there were any. The file stays, as the disk may have no free inode later."""
        try:
            given = self._path.lstat().st_blocks > 0
            descriptor = open_private(self._path, os.O_WRONLY)
        except OSError:
            return False
        try:
            os.ftruncate(descriptor, 0)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return given


# --- open files ------------------------------------------------------------------------------------------------------

# Checks that the opened database is still at its path. SQLite writes on to a file that was removed or renamed, and
# those writes are lost with the process. A file is identified by device and inode, which stay unique while it is open.


class OpenFiles:
    """State: device and inode of each opened file."""

    def __init__(self, state_directory: StateDirectory | None, *paths: Path) -> None:
        self._state_directory = state_directory
        self._paths = paths
        self._opened: dict[Path, tuple[int, int]] = {}

    def check_directory(self) -> None:
        """Raise DiskTrouble if the directory cannot be used."""
        if self._state_directory is not None:
            self._state_directory.check()

    def record(self) -> None:
        """Record the files at the paths as the ones that this process has open."""
        self._opened.clear()
        self._record_new()

    def check(self) -> None:
        """Compare the files at the paths with the opened ones.

        Raises:
            DiskTrouble: the directory was removed or moved, or a file in it was replaced.
        """
        self.check_directory()
        self._record_new()
        for path, known in self._opened.items():
            if _identity(path) != known:
                raise DiskTrouble("replaced", f"{path} was removed or replaced")

    def is_ours(self, path: Path) -> bool:
        """Return whether the file at a path is the opened one."""
        return _identity(path) == self._opened.get(path)

    def _record_new(self) -> None:
        """Record files that are new at their paths: SQLite makes the log when it needs one."""
        for path in self._paths:
            if path not in self._opened and (now := _identity(path)):
                self._opened[path] = now


def _identity(path: Path) -> tuple[int, int] | None:
    with translate_errors(path.parent):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
    return status.st_dev, status.st_ino
