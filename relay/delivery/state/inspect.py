"""Inspection of a state directory from another process: what waits in it, and whether it is intact.

It only reads, in many short transactions, so that a running relay is not held up. A batch deleted between two
transactions is not reported. Every function blocks. Not known here: what a point and a checkpoint contain; functions
for that are arguments.
"""

from __future__ import annotations

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
from relay.delivery.state.directory import DATABASE, holder
from relay.delivery.state.private_files import open_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ROWS: Final = 200
"""Batches per transaction."""


class WaitingWindow(NamedTuple):
    """The waiting batches of one window, in numbers."""

    window: int
    batches: int
    points: int
    bytes: int
    """Bytes of compressed bodies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """The contents of a state directory, in numbers."""

    windows: tuple[WaitingWindow, ...]
    """Oldest first."""
    files: dict[str, int]
    """Size in bytes by name of the file."""
    pid: int | None
    """Pid of the relay that holds the directory: of the supervisor, or of the worker without one or if it cannot be
    inspected. None without a relay, 0 if the pid is unreadable."""


def inspect_state(directory: Path) -> StateReport:
    """Return a report of a state directory.

    Raises:
        OSError: the directory cannot be read.
        sqlite3.Error: the database cannot be read.
    """
    with closing(_connect(directory)) as database:
        rows = database.execute(
            "SELECT window, count(*), sum(points), sum(length(body)) FROM batches GROUP BY window ORDER BY window"
        ).fetchall()
    with os.scandir(directory) as entries:
        files = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries if entry.is_file()}
    running = holder(directory)
    return StateReport(
        windows=tuple(WaitingWindow(*row) for row in rows),
        files=dict(sorted(files.items())),
        pid=(running.main or running.worker) if running else None,
    )


def count_batches(directory: Path) -> int:
    """Return the number of batches that `verify` will read, for a progress bar."""
    with closing(_connect(directory)) as database:
        [batches] = database.execute("SELECT count(*) FROM batches").fetchone()
    return int(batches)


def verify(
    directory: Path,
    *,
    read_timestamps: Callable[[bytes], list[int]],
    count_damage: Callable[[bytes], int],
    progress: Callable[[int], object],
) -> Iterator[str]:
    """Yield one message per fault.

    Args:
        directory: the state directory.
        read_timestamps: returns the timestamps of a body's points; raises ValueError for another body.
        count_damage: returns the number of unreadable places in a checkpoint.
        progress: called with 1 for each batch.
    """
    try:
        with closing(_connect(directory)) as database:
            yield from _verify_pages(database)
            yield from _verify_batches(database, read_timestamps, progress)
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
    yield from _verify_checkpoints(CheckpointFiles(directory), count_damage)


def _verify_checkpoints(files: CheckpointFiles, count_damage: Callable[[bytes], int]) -> Iterator[str]:
    """Read each file twice and report the smaller number of damaged places.

    A read while the relay appends may see an incomplete frame, which the second read does not.
    """
    for path in map(files.path, files.windows()):
        try:
            places = min(count_damage(path.read_bytes()) for _ in range(2))
        except FileNotFoundError:
            continue
        if places:
            yield f"{path.name}: damaged in {places} places"


def _verify_pages(database: sqlite3.Connection) -> Iterator[str]:
    for (verdict,) in database.execute("PRAGMA integrity_check(20)"):
        if verdict != "ok":
            yield f"{DATABASE}: {verdict}"


def _verify_batches(
    database: sqlite3.Connection, read_timestamps: Callable[[bytes], list[int]], progress: Callable[[int], object]
) -> Iterator[str]:
    last = -1
    query = "SELECT id, window, points, body FROM batches WHERE id > ? ORDER BY id LIMIT ?"
    while rows := database.execute(query, (last, _ROWS)).fetchall():
        for last, window, points, body in rows:
            progress(1)
            fault = _find_fault(body, window, points, read_timestamps)
            if fault:
                yield f"{DATABASE}: batch {last} of window {window}: {fault}"


def _find_fault(body: bytes, window: int, points: int, read_timestamps: Callable[[bytes], list[int]]) -> str:
    """Return the fault of a batch; "" if it can be sent."""
    try:
        inflating = zlib.decompressobj()
        inflated = inflating.decompress(body, limits.REQUEST_BYTES + 1)
        if not inflating.eof:
            return "its body is cut, or larger than the largest request"
        found = read_timestamps(inflated)
    except zlib.error as error:
        return f"its body does not inflate ({error})"
    except ValueError as error:
        return f"its body is not a request ({error})"
    if len(found) != points:
        return f"it has {len(found)} points, and its row says {points}"
    others = {timestamp for timestamp in found if timestamp != window}
    return f"a point has timestamp {min(others)} instead of its window's" if others else ""


def _connect(directory: Path) -> sqlite3.Connection:
    """Open the database read-only.

    Raises:
        OSError: the file is missing, or is a symbolic link.
        sqlite3.Error: the database cannot be read.
    """
    path = directory / DATABASE
    os.close(open_private(path, os.O_RDONLY))
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=5)
    try:
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        database.close()
        raise
    return database
