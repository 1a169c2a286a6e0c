"""A look at a state directory from another process: what waits in it, and whether all of it can be used.

Read only, in many short transactions, so that a relay that runs meanwhile is not held up; what it takes away between
two of them is no finding. Everything here blocks.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from relay import limits
from relay.delivery.dead_letters.format import LetterReader, letter_files
from relay.delivery.dead_letters.redrive import replay_files
from relay.delivery.state.checkpoint import CheckpointFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DATABASE: Final = "spool.db"
LOCK: Final = "lock"
_ROWS: Final = 200
"""Batches of one transaction."""


class WaitingWindow(NamedTuple):
    """What waits of one window."""

    window: int
    batches: int
    points: int
    bytes: int
    """Compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """What a state directory holds."""

    windows: tuple[WaitingWindow, ...]
    """Oldest first."""
    files: dict[str, int]
    """Name of each file to its bytes."""
    pid: int | None
    """Of the relay that runs on it; None if none does."""


def look(directory: Path) -> StateReport:
    """Return what a state directory holds.

    Raises:
        OSError: it cannot be read.
        sqlite3.Error: its database cannot be.
    """
    with closing(_connect(directory)) as database:
        rows = database.execute(
            "SELECT window, count(*), sum(points), sum(length(body)) FROM batches GROUP BY window ORDER BY window"
        ).fetchall()
    with os.scandir(directory) as entries:
        files = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries if entry.is_file()}
    return StateReport(
        windows=tuple(WaitingWindow(*row) for row in rows), files=dict(sorted(files.items())), pid=running(directory)
    )


def running(directory: Path) -> int | None:
    """Return the process of the relay that holds a state directory, None if none does.

    The file's own lock is asked, which a relay that starts at this moment does not need.
    """
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 20).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def count(directory: Path) -> int:
    """Return how many batches `verify` will read, for its progress."""
    with closing(_connect(directory)) as database:
        [batches] = database.execute("SELECT count(*) FROM batches").fetchone()
    return int(batches)


def verify(
    directory: Path,
    *,
    timestamps: Callable[[bytes], list[int]],
    damaged: Callable[[bytes], int],
    progress: Callable[[int], object],
) -> Iterator[str]:
    """Yield what is wrong, each as one sentence.

    Args:
        directory: the state directory.
        timestamps: returns those of a body's points; a ValueError says that it is none.
        damaged: returns in how many places a checkpoint cannot be read.
        progress: told 1 for each batch.
    """
    try:
        with closing(_connect(directory)) as database:
            yield from _verify_pages(database)
            yield from _verify_batches(database, timestamps, progress)
    except sqlite3.Error as error:
        yield f"{DATABASE}: {error}"
    reader = LetterReader()
    try:
        for _ in reader.read([*letter_files(directory), *replay_files(directory)]):
            pass
    except OSError as error:
        yield f"{error.filename}: {error.strerror}"
    for name, lines in reader.damaged.items():
        yield f"{name}: {lines} damaged lines"
    yield from _verify_checkpoints(CheckpointFiles(directory), damaged)


def _verify_checkpoints(files: CheckpointFiles, damaged: Callable[[bytes], int]) -> Iterator[str]:
    """Read each twice: a relay that runs may be appending, or have committed the window meanwhile."""
    for path in map(files.path, files.windows()):
        try:
            places = min(damaged(path.read_bytes()) for _ in range(2))
        except FileNotFoundError:
            continue
        if places:
            yield f"{path.name}: damaged in {places} places"


def _verify_pages(database: sqlite3.Connection) -> Iterator[str]:
    for (verdict,) in database.execute("PRAGMA integrity_check(20)"):
        if verdict != "ok":
            yield f"{DATABASE}: {verdict}"


def _verify_batches(
    database: sqlite3.Connection, timestamps: Callable[[bytes], list[int]], progress: Callable[[int], object]
) -> Iterator[str]:
    last = -1
    query = "SELECT id, window, points, body FROM batches WHERE id > ? ORDER BY id LIMIT ?"
    while rows := database.execute(query, (last, _ROWS)).fetchall():
        for last, window, points, body in rows:
            progress(1)
            wrong = _wrong_with(body, window, points, timestamps)
            if wrong:
                yield f"{DATABASE}: batch {last} of window {window}: {wrong}"


def _wrong_with(body: bytes, window: int, points: int, timestamps: Callable[[bytes], list[int]]) -> str:
    """Return what is wrong with a batch; nothing if it can be sent."""
    try:
        inflating = zlib.decompressobj()
        inflated = inflating.decompress(body, limits.REQUEST_BYTES + 1)
        if not inflating.eof:
            return "its body is cut, or larger than a request"
        found = timestamps(inflated)
    except zlib.error as error:
        return f"its body does not inflate ({error})"
    except ValueError as error:
        return f"its body is no request ({error})"
    if len(found) != points:
        return f"it has {len(found)} points and claims {points}"
    others = {timestamp for timestamp in found if timestamp != window}
    return f"it has points of {min(others)}" if others else ""


def _connect(directory: Path) -> sqlite3.Connection:
    """Open the database to read.

    Raises:
        OSError: it is not there, or is a symbolic link.
        sqlite3.Error: it cannot be read.
    """
    path = directory / DATABASE
    os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=5)
    try:
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        database.close()
        raise
    return database
