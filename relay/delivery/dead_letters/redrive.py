"""Remove letters from the dead-letter files, to be replayed or deleted. Every function blocks.

A replay has four steps under the lock of the files. Each one is on disk before the next (T = time and process id):

1. The letters are written to `replay-T.new`.
2. That file is renamed to `replay-T.taking`. From here on the replay will be completed.
3. Each dead-letter file is replaced by one without these points.
4. `replay-T.taking` is renamed to `replay-T.ndjson`, which the relay puts into its spool.

After a crash before step 2 the `.new` file is deleted. After a later crash letters may be in both places; the next
owner of the lock repeats steps 3 and 4 (`finish`), which are idempotent. So no letter is lost, and each is replayed
once. Not known here: the spool.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from relay.delivery.dead_letters.files import locked
from relay.delivery.dead_letters.format import LetterReader, decode_line, letter_files, lines_of
from relay.delivery.state.private_files import sync, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relay.delivery.dead_letters.format import LetterLine

_REPLAY: Final = re.compile(r"replay-\d{8}T\d{6}-\d+(?:-[0-9a-f]{8})?\.(new|taking|ndjson)")
"""Earlier releases had no random part: two replays of one process in one second had one name."""
_UNFINISHED: Final = re.compile(r"dead-letters-\d+\.ndjson\.new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A filter of letters."""

    reason: str = ""
    """Empty: all reasons."""
    metric: str = ""
    """A glob; empty: all metrics."""

    def __bool__(self) -> bool:
        """Return whether the filter excludes any letter."""
        return bool(self.reason or self.metric)

    def matches(self, read: LetterLine) -> bool:
        """Return whether a letter is selected."""
        return (not self.reason or read.letter.reason == self.reason) and (
            not self.metric or fnmatchcase(read.metric, self.metric)
        )


@dataclass(slots=True)
class Redriven:
    """Counts of letters that were, or would be, removed from the files."""

    letters: int = 0
    duplicates: int = 0
    """Letters with the point of another selected letter; they are removed, too."""
    too_old: int = 0
    """Letters that stay, because the cloud would refuse them."""
    damaged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    path: str = ""
    """Name of the replay file."""

    def figures(self) -> dict[str, object]:
        """Return all fields, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"reasons": dict(self.reasons)}


def replay_files(directory: Path, state: str = "ndjson") -> list[Path]:
    """Return the replay files in a state (new, taking or ndjson), oldest first.

    Raises:
        OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        found = [
            entry.name
            for entry in entries
            if (match := _REPLAY.fullmatch(entry.name)) and match[1] == state and entry.is_file(follow_symlinks=False)
        ]
    return [directory / name for name in sorted(found)]


def select(
    directory: Path, selection: Selection, *, oldest: float, counts: Redriven, progress: Callable[[int], object]
) -> Iterator[LetterLine]:
    """Yield the selected letters, one per point, and count them and the others.

    Args:
        directory: the state directory.
        selection: filter of letters.
        oldest: letters of windows before this time stay.
        counts: receives the counts.
        progress: called with the number of bytes read.
    """
    reader = LetterReader(progress)
    seen: set[bytes] = set()
    for read in reader.read(letter_files(directory)):
        if not selection.matches(read):
            continue
        if read.letter.window < oldest:
            counts.too_old += 1
        elif read.identity in seen:
            counts.duplicates += 1
        else:
            seen.add(read.identity)
            counts.letters += 1
            counts.reasons[read.letter.reason] += 1
            yield read
    counts.damaged = reader.damaged.total()


def replay(
    directory: Path, selection: Selection, *, now: float, oldest: float, progress: Callable[[int], object]
) -> Redriven:
    """Move letters to a replay file, from which the relay sends their points again.

    Args:
        directory: the state directory.
        selection: filter of letters.
        now: wall time, for the name of the file.
        oldest: letters of windows before this time stay.
        progress: called with the number of bytes read; every file is read twice.

    Raises:
        OSError: a file cannot be read or written; a replay past step 2 is completed by the next command or the relay.
    """
    counts = Redriven()
    with locked(directory):
        finish_locked(directory)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
        fresh = directory / f"replay-{stamp}-{os.getpid()}-{secrets.token_hex(4)}.new"
        letters = select(directory, selection, oldest=oldest, counts=counts, progress=progress)
        write_lines(fresh, os.O_CREAT | os.O_EXCL, (read.line for read in letters))
        if not counts.letters:
            fresh.unlink()
            return counts
        fresh.rename(fresh.with_suffix(".taking"))
        sync(directory)
        finish_locked(directory, progress)
    counts.path = fresh.with_suffix(".ndjson").name
    return counts


def drop(directory: Path, selection: Selection, *, progress: Callable[[int], object]) -> Redriven:
    """Delete letters; without a selection delete damaged lines, too.

    Raises:
        OSError: a file cannot be read or written; some letters may be deleted already.
    """
    counts = Redriven()

    def stays(line: bytes) -> bool:
        progress(len(line))
        read = decode_line(line)
        if read is None:
            counts.damaged += 1
            return bool(selection)
        if not selection.matches(read):
            return True
        counts.letters += 1
        counts.reasons[read.letter.reason] += 1
        return False

    with locked(directory):
        finish_locked(directory)
        for path in letter_files(directory):
            _filter(path, stays)
    return counts


def finish(directory: Path) -> None:
    """Complete a replay that a command left unfinished, unless a command holds the lock.

    Raises:
        OSError: a file cannot be read or written.
    """
    if not replay_files(directory, "taking"):
        return
    try:
        with locked(directory, wait=0.0):
            finish_locked(directory)
    except TimeoutError:
        return


def finish_locked(directory: Path, progress: Callable[[int], object] = lambda _: None) -> None:
    """Complete a replay past step 2 and delete other files of unfinished commands; the caller holds the lock."""
    for path in replay_files(directory, "new"):
        path.unlink()
    for name in os.listdir(directory):  # noqa: PTH208 - names only
        if _UNFINISHED.fullmatch(name):
            (directory / name).unlink()
    for path in replay_files(directory, "taking"):
        gone = {read.identity for read in LetterReader().read([path])}

        def stays(line: bytes, gone: set[bytes] = gone) -> bool:
            progress(len(line))
            read = decode_line(line)
            return read is None or read.identity not in gone

        for letters in letter_files(directory):
            _filter(letters, stays)
        path.rename(path.with_suffix(".ndjson"))
        sync(directory)


def _filter(path: Path, stays: Callable[[bytes], bool]) -> None:
    """Replace a file by one with the lines that stay; keep it if all stay, remove it if none stays."""
    kept = removed = 0
    fresh = path.with_name(f"{path.name}.new")

    def lines() -> Iterator[bytes]:
        nonlocal kept, removed
        for line in lines_of(path):
            if stays(line):
                kept += 1
                yield line
            else:
                removed += 1

    write_lines(fresh, os.O_CREAT | os.O_EXCL, lines())
    if not removed:
        fresh.unlink()
    elif kept:
        fresh.rename(path)
    else:
        path.unlink()
        fresh.unlink()
    sync(path.parent)
