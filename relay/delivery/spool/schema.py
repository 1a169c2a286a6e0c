"""The tables of the spool, and the statements that read and change them.

`windows` holds the committed ids, `batches` the waiting requests, `state` the values stored with the last window. The
version and these names are a file format: `spool stat | verify` and older releases read them.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Final

from relay import limits

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence

    from relay.delivery.spool.memory import StoredBatch

VERSION: Final = 1
"""PRAGMA user_version. 0 is release 0.1.0, which had the same tables."""
PAGE: Final = 16_384
"""Bytes; for rows of 2.5 KB, half the log and half the time of pages of 4 KiB."""
UNCOMMITTED: Final = "uncommitted"
"""Key in `state`: first and last batch id of a window while some of its transactions are still to come."""

MAKE: Final = f"""
PRAGMA page_size = {PAGE};
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE windows (id INTEGER PRIMARY KEY);
CREATE TABLE batches (id INTEGER PRIMARY KEY, window INTEGER, points INTEGER, body BLOB);
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB);
PRAGMA user_version = {VERSION};
"""
_ID_MAX: Final = 2**62
"""Largest id of a batch, in microseconds of the clock at start; ids that follow must fit in 63 bits, too."""
_INVALID_ROWS: Final = """
SELECT EXISTS (
    SELECT 1 FROM batches
    WHERE id NOT BETWEEN 0 AND :most OR typeof(window) <> 'integer' OR window NOT BETWEEN 0 AND :last
    OR typeof(points) <> 'integer' OR points < 1 OR typeof(body) <> 'blob'
) OR EXISTS (SELECT 1 FROM windows WHERE id NOT BETWEEN 0 AND :last)
OR EXISTS (SELECT 1 FROM state WHERE typeof(value) <> 'blob')
"""
_PRUNE_BY: Final = 10
"""Age is measured from the tenth newest id. If it were the newest, one id from a clock that was ahead would make all
others old, and a window with a forgotten id opens again."""
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
    """Store batches, window ids and state; without the marker in `state` the window is complete."""
    if UNCOMMITTED not in state:
        db.execute("DELETE FROM state WHERE key = ?", (UNCOMMITTED,))
    if windows:
        db.executemany("INSERT OR IGNORE INTO windows VALUES (?)", [(window,) for window in windows])
        db.execute(_PRUNE, (_PRUNE_BY - 1, limits.POINT_AGE_MAX))
    db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())
    db.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", rows)


def has_invalid_rows(db: sqlite3.Connection) -> bool:
    """Return whether a row holds a value that the relay never writes; SQLite enforces no column types."""
    [[found]] = db.execute(_INVALID_ROWS, {"last": limits.YEAR_MAX, "most": _ID_MAX})
    return bool(found)


def prune(windows: set[int]) -> None:
    """Remove old ids from a set in memory, as `insert` does on disk."""
    oldest = min(nlargest(_PRUNE_BY, windows)) - limits.POINT_AGE_MAX
    windows.difference_update([window for window in windows if window < oldest])


def delete(db: sqlite3.Connection, *, ids: Collection[int]) -> None:
    """Remove batches by their ids."""
    db.executemany("DELETE FROM batches WHERE id = ?", [(id_,) for id_ in ids])


def delete_range(db: sqlite3.Connection, *, first: int, last: int) -> None:
    """Remove the batches of an incomplete window, and its marker."""
    db.execute("DELETE FROM batches WHERE id BETWEEN ? AND ?", (first, last))
    db.execute("DELETE FROM state WHERE key = ?", (UNCOMMITTED,))
