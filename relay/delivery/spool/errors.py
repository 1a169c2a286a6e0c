"""Errors of SQLite and of the system, mapped to three exceptions: try again, make room, or set the file aside.

SQLite reports SQLITE_FULL both for a full disk and for its own `max_page_count`. The free blocks of the disk tell which
one it is. Not known here: what is done about an exception (writer.py).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCKS_LEFT: Final = 65_536
"""Bytes; a disk with fewer free counts as full. One transaction needs a few pages of 16 KiB."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_DISK_CODES: Final = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
)
_OTHER_TABLES: Final = ("no such table", "no such column", "table batches has", "table windows has", "table state has")


class DiskTrouble(Exception):  # noqa: N818 - a passing condition, not an error
    """The disk fails or is too slow; nothing is lost, and the call is tried again."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        """The disk is full, read-only, stalled, or fails (io); the quota is too small (quota); a file is not at its
        path any more (replaced); the directory is moved, certainly removed, or unusable since the start."""


class QuotaReached(Exception):  # noqa: N818
    """No page is left below the quota."""


class Damaged(Exception):  # noqa: N818
    """The file is not a usable database; it is set aside under a name that contains `kind` (corrupt, newer)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@contextmanager
def translate_errors(directory: Path) -> Iterator[None]:
    """Translate errors of SQLite and of the system to DiskTrouble, QuotaReached or Damaged.

    Args:
        directory: of the database; its disk is examined.

    Raises:
        sqlite3.Error: any other error, which is a bug of the relay.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _translate_sqlite_error(error, directory) from error
    except OSError as error:
        raise _translate_os_error(error) from error


def _translate_os_error(error: OSError) -> DiskTrouble:
    reason = "full" if error.errno in _FULL else "read-only" if error.errno == errno.EROFS else "io"
    return DiskTrouble(reason, str(error))


def _translate_sqlite_error(error: sqlite3.Error, directory: Path) -> Exception:
    code, detail = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
    is_foreign = code == sqlite3.SQLITE_ERROR and detail.startswith(_OTHER_TABLES)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or is_foreign:
        return Damaged("corrupt", detail)
    if code == sqlite3.SQLITE_FULL:
        return DiskTrouble("full", detail) if is_full(directory) else QuotaReached(detail)
    if code == sqlite3.SQLITE_READONLY:
        return DiskTrouble("read-only", detail)
    if code in _DISK_CODES:
        return DiskTrouble(_disk_reason(directory), detail)
    return error


def _disk_reason(directory: Path) -> str:
    """Return the reason by the state of the disk, as SQLite does not give one."""
    try:
        read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    except OSError:
        return "io"
    return "read-only" if read_only else "full" if is_full(directory) else "io"


def is_full(directory: Path) -> bool:
    """Return whether the disk of a directory has no free blocks or inodes."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _BLOCKS_LEFT or (disk.f_files > 0 and disk.f_favail == 0)
