"""Tables and statements of the spool's database.

windows holds the ids that were committed, batches the requests that wait, state what belongs to the last window. The
version and these names are a format: `spool stat | verify` and older releases read them.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.delivery.spool_file import VERSION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence

    from relay.delivery.bodies import Row

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
    db: sqlite3.Connection, *, rows: Sequence[Row], windows: Collection[int], state: Mapping[str, bytes]
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
