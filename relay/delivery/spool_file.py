"""The database as a file: what it is before SQLite opens it, and how it is set aside. Every function blocks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.delivery.spool_errors import Damaged, explained

if TYPE_CHECKING:
    from pathlib import Path

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
