"""Dead letters on disk: append them, bound the size of their files, count them. Every function blocks.

A writer holds `dead-letters.lock`: the relay while it appends, a command while it removes letters. So neither loses a
letter of the other. Readers need no lock. Invariant: after a failed append a file is unchanged.
"""

from __future__ import annotations

import fcntl
import os
import time
from bisect import bisect_right
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.delivery.dead_letters.format import letter_files, lines_of, number_of
from relay.delivery.state.private_files import open_private, sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relay.delivery.state.directory import StateDirectory

FILES: Final = 8
"""Number of files within the bound. At the bound, a new letter removes the oldest file: an eighth of all letters."""
LOCK_SECONDS: Final = 2.0
"""Time limit of the wait for the lock, in seconds: a command that hangs must not stop delivery."""


class Counted(NamedTuple):
    """The size and the number of letters of a file at its last count."""

    inode: int
    size: int
    letters: int


class LetterFiles:
    """State: the counts of each file, and the number of letters in removed files."""

    def __init__(self, directory: Path, *, limit: int, state_directory: StateDirectory | None = None) -> None:
        self.directory = directory
        self._state_directory = state_directory
        self._limit = limit
        self._counted: dict[str, Counted] = {}
        self.dropped = 0
        """Letters in files that were removed to keep the bound."""

    @property
    def letters(self) -> int:
        """Number of letters in all files at the last count."""
        return sum(counted.letters for counted in self._counted.values())

    def count_letters(self) -> None:
        """Count the letters in all files. Only the bytes added since the last count are read.

        Raises:
            OSError: a file cannot be read.
        """
        self._ensure()
        counted: dict[str, Counted] = {}
        for path in letter_files(self.directory):
            status = path.lstat()
            known = self._counted.get(path.name)
            if known is None or known.inode != status.st_ino or known.size > status.st_size:
                known = Counted(status.st_ino, 0, 0)
            letters = known.letters + _newlines(path, known.size, status.st_size)
            counted[path.name] = Counted(status.st_ino, status.st_size, letters)
        self._counted = counted

    def append(self, letters: Sequence[bytes]) -> int:
        """Write as many letters as fit into one file, at least one, and flush them to the disk; return their number.

        Raises:
            OSError: disk full or read-only, or another process holds the lock; nothing was written.
        """
        self._ensure()
        with locked(self.directory):
            path = self._writable(len(letters[0]))
            free = self._limit // FILES - _size(path)
            fitting = max(1, bisect_right(list(accumulate(map(len, letters))), free))
            content = b"".join(letters[:fitting])
            self._make_room(len(content), but=path)
            _append(path, content)
            self.count_letters()
        return fitting

    def _ensure(self) -> None:
        """Raise OSError if the directory may not be used."""
        if self._state_directory is not None:
            self._state_directory.ensure()

    def _writable(self, size: int) -> Path:
        """Return the newest file if a letter of `size` bytes fits into it, else the path of the next file."""
        files = letter_files(self.directory)
        if files and _size(files[-1]) + size <= self._limit // FILES:
            return files[-1]
        newest = max((number_of(name) for name in os.listdir(self.directory)), default=0)  # noqa: PTH208 - names only
        return self.directory / f"dead-letters-{newest + 1:06}.ndjson"

    def _make_room(self, size: int, *, but: Path) -> None:
        """Remove oldest files, except `but`, until `size` more bytes are within the bound."""
        files = letter_files(self.directory)
        total = sum(map(_size, files)) + size
        for path in files:
            if total <= self._limit or path == but:
                return
            total -= _size(path)
            self.dropped += _newlines(path, 0, _size(path))
            path.unlink(missing_ok=True)


@contextmanager
def locked(directory: Path, *, wait: float | None = None) -> Iterator[None]:
    """Hold the lock of a directory's dead letters; wait for it at most `wait` seconds (default LOCK_SECONDS).

    Raises:
        OSError: another process holds the lock, or its file cannot be created.
    """
    descriptor = open_private(directory / "dead-letters.lock", os.O_RDWR | os.O_CREAT)
    deadline = time.monotonic() + (LOCK_SECONDS if wait is None else wait)
    try:
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the dead letters of {directory} are held by another process")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _append(path: Path, lines: bytes) -> None:
    """Append lines and flush them to the disk. If the file ends with an incomplete line, that line is ended first.

    Raises:
        OSError: the write failed, and the file is unchanged.
    """
    fresh = not path.exists()
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123 - a descriptor
        size = os.fstat(descriptor).st_size
        cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            _write_all(descriptor, b"\n" + lines if cut else lines)
            os.fsync(descriptor)
        except OSError:
            file.truncate(size)
            raise
    if fresh:
        sync(path.parent)


def _write_all(descriptor: int, content: bytes) -> None:
    """Write all of the content in as many calls as needed: a nearly full disk writes a part before it fails."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _newlines(path: Path, start: int, end: int) -> int:
    if start >= end:
        return 0
    try:
        return sum(line.endswith(b"\n") for line in lines_of(path, start))
    except FileNotFoundError:
        return 0
