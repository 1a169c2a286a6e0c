"""What SQLite and the system report, turned into what can be done about it: one place for all of it.

SQLite says SQLITE_FULL both for a full disk and for its own `max_page_count`. They are told apart by the disk: after a
write that failed for want of blocks, there are none left.
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
"""Bytes: with less a disk is full; one transaction needs a few pages of 16 KiB."""
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


class DiskTrouble(Exception):  # noqa: N818 - no error of anybody's: it passes
    """The disk refuses or is too slow; nothing is lost, it is tried again."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        """full, read-only, stalled, quota or io; of files that are not at their path any more replaced; of their
        directory moved, or removed if that is certain, or unusable since the relay started."""


class QuotaReached(Exception):  # noqa: N818
    """There is no page left below the quota."""


class Damaged(Exception):  # noqa: N818
    """The file is no database of ours; `kind` (corrupt, newer) becomes part of the name it is set aside under."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Raise DiskTrouble, QuotaReached or Damaged for what SQLite and the system report in this directory.

    Raises:
        sqlite3.Error: anything else; a mistake of ours.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, directory) from error
    except OSError as error:
        raise _explain_system(error) from error


def _explain_system(error: OSError) -> DiskTrouble:
    reason = "full" if error.errno in _FULL else "read-only" if error.errno == errno.EROFS else "io"
    return DiskTrouble(reason, str(error))


def _explain(error: sqlite3.Error, directory: Path) -> Exception:
    code, detail = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
    is_foreign = code == sqlite3.SQLITE_ERROR and detail.startswith(_OTHER_TABLES)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or is_foreign:
        return Damaged("corrupt", detail)
    if code == sqlite3.SQLITE_FULL:
        return DiskTrouble("full", detail) if is_full(directory) else QuotaReached(detail)
    if code == sqlite3.SQLITE_READONLY:
        return DiskTrouble("read-only", detail)
    if code in _DISK_CODES:
        return DiskTrouble(_why(directory), detail)
    return error


def _why(directory: Path) -> str:
    """SQLite says no more than that it could not: look at the disk."""
    try:
        read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    except OSError:
        return "io"
    return "read-only" if read_only else "full" if is_full(directory) else "io"


def is_full(directory: Path) -> bool:
    """Say whether the disk of a directory has no blocks or no inodes left."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _BLOCKS_LEFT or (disk.f_files > 0 and disk.f_favail == 0)
