"""The database as a file: what it is before SQLite opens it, and how it is set aside. Every function blocks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from heapq import nlargest
from typing import TYPE_CHECKING, Final, Protocol

from relay import limits
from relay.delivery.spool.errors import Damaged, DiskTrouble, explained

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from relay.delivery.spool.memory import StoredBatch


NAME: Final = "spool.db"
VERSION: Final = 1
"""PRAGMA user_version. 0 is release 0.1.0, which had the same tables."""
_COPY_MOST: Final = 64 * 1024 * 1024
_HEADER: Final = b"SQLite format 3\0"


def look(path: Path) -> int | None:
    """Return the format of the file, None if it is new; SQLite would change a file of a newer release.

    Raises:
        Damaged: no database, or a newer one.
        DiskTrouble: it cannot be read.
    """
    with explained(path.parent), suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
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
    """Make the file for its owner only; the log and the index get the same mode from SQLite."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def sync(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, label: str) -> str:
    """Rename the file with its log, untouched and for good; return the new name.

    Raises:
        DiskTrouble: the disk refuses.
    """
    target, number = path.with_name(f"{path.name}.{label}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{label}.{number}")
    with explained(path.parent):
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(f"{path.name}{suffix}").rename(f"{target}{suffix}")
    return target.name


def peek(path: Path) -> tuple[set[int], dict[str, bytes]]:
    """Read committed ids and state from a file that cannot be opened for writing; nothing, if that fails too.

    Ids that were committed must not open again (I8). A log that a crash left behind cannot be read in place, so a small
    file is copied with it; a large one is read without.
    """
    with suppress(sqlite3.Error, OSError), tempfile.TemporaryDirectory() as scratch:
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and path.stat().st_size <= _COPY_MOST:
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


# --- schema ----------------------------------------------------------------------------------------------------------

# Tables and statements of the spool's database.
#
# windows holds the ids that were committed, batches the requests that wait, state what belongs to the last window. The
# version and these names are a format: `spool stat | verify` and older releases read them.

PAGE: Final = 16_384
"""Bytes: half the log and half the time of 4 KiB for rows of 2.5 KB."""
UNCOMMITTED: Final = "uncommitted"
"""Key in `state`: first and last batch id of a window whose transactions are not all done."""

MAKE: Final = f"""
PRAGMA page_size = {PAGE};
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE windows (id INTEGER PRIMARY KEY);
CREATE TABLE batches (id INTEGER PRIMARY KEY, window INTEGER, points INTEGER, body BLOB);
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB);
PRAGMA user_version = {VERSION};
"""
_ID_MOST: Final = 2**62
"""Of a batch: microseconds of a clock; those that follow it must fit as well."""
_STRANGE: Final = """
SELECT EXISTS (
    SELECT 1 FROM batches
    WHERE id NOT BETWEEN 0 AND :most OR typeof(window) <> 'integer' OR window NOT BETWEEN 0 AND :last
    OR typeof(points) <> 'integer' OR points < 1 OR typeof(body) <> 'blob'
) OR EXISTS (SELECT 1 FROM windows WHERE id NOT BETWEEN 0 AND :last)
OR EXISTS (SELECT 1 FROM state WHERE typeof(value) <> 'blob')
"""
_PRUNE_BY: Final = 10
"""Ids are old by the tenth newest one: by the ids of a clock that was ahead for some windows all others would be, and
what is forgotten opens again."""
_PRUNE: Final = "DELETE FROM windows WHERE id < (SELECT id FROM windows ORDER BY id DESC LIMIT 1 OFFSET ?) - ?"
SETTINGS: Final = """
PRAGMA synchronous = FULL;
PRAGMA secure_delete = OFF;
PRAGMA wal_autocheckpoint = 0;
PRAGMA cache_size = -8000;
"""


def insert(
    db: sqlite3.Connection, *, rows: Sequence[StoredBatch], windows: Collection[int], state: Mapping[str, bytes]
) -> None:
    """Store batches, window ids and state; without the marker in `state`, a window is complete."""
    if UNCOMMITTED not in state:
        db.execute("DELETE FROM state WHERE key = ?", (UNCOMMITTED,))
    if windows:
        db.executemany("INSERT OR IGNORE INTO windows VALUES (?)", [(window,) for window in windows])
        db.execute(_PRUNE, (_PRUNE_BY - 1, limits.POINT_AGE_MAX))
    db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())
    db.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", rows)


def is_strange(db: sqlite3.Connection) -> bool:
    """Say whether a row holds what the relay never writes: a column of SQLite takes any type."""
    [[found]] = db.execute(_STRANGE, {"last": limits.YEAR_MAX, "most": _ID_MOST})
    return bool(found)


def prune(windows: set[int]) -> None:
    """Do with ids in memory what `insert` does with those on disk."""
    oldest = min(nlargest(_PRUNE_BY, windows)) - limits.POINT_AGE_MAX
    windows.difference_update([window for window in windows if window < oldest])


def delete(db: sqlite3.Connection, *, ids: Collection[int]) -> None:
    """Remove batches by their ids."""
    db.executemany("DELETE FROM batches WHERE id = ?", [(id_,) for id_ in ids])


def remove(db: sqlite3.Connection, *, first: int, last: int) -> None:
    """Remove the batches of a window that was not completed, and the marker."""
    db.execute("DELETE FROM batches WHERE id BETWEEN ? AND ?", (first, last))
    db.execute("DELETE FROM state WHERE key = ?", (UNCOMMITTED,))


# --- ballast ---------------------------------------------------------------------------------------------------------

# Disk space held in reserve: on a full disk SQLite cannot even delete, unless somebody gives up some blocks.
#
# As large as the write-ahead log of the largest transaction, so that one more can be written after it is given up.
# Every method blocks: call it from the writer thread.


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


# --- place -----------------------------------------------------------------------------------------------------------

# Whether the database is still at its path, and not a file that only this process knows. Blocks shortly.
#
# SQLite goes on to write into a file that was removed or renamed, as if nothing had happened; what is in it is lost
# with the process. The files are told apart by device and inode, which no other file gets while they are open.


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
