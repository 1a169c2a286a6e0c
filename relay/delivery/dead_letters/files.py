"""Dead letters on the disk: append them, keep their files within a bound, count them. Everything here blocks.

The files belong to whoever holds `dead-letters.lock`: the relay while it appends, a command while it takes letters out,
so neither loses one of the other's. Readers need no lock. Files are private to their owner and never followed through
a symbolic link. Invariant: after a failed append a file is as it was.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.delivery.dead_letters.format import letter_files, lines_of, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relay.delivery.spool.file import Directory

FILES: Final = 8
"""The bound is cut into so many files: the oldest eighth is what a new letter can cost."""
LOCK_SECONDS: Final = 2.0
"""How long to wait for the lock: a command that hangs must not stop delivery."""


class Counted(NamedTuple):
    """A file when its lines were last counted."""

    inode: int
    size: int
    lines: int


class LetterFiles:
    """State: what was counted in each file, and how many letters went with files that were removed."""

    def __init__(self, directory: Path, *, limit: int, place: Directory | None = None) -> None:
        self.directory = directory
        self._place = place
        self._limit = limit
        self._counted: dict[str, Counted] = {}
        self.dropped = 0
        """Letters in files that were removed to keep the bound."""

    def __repr__(self) -> str:
        """Report what was counted."""
        return f"<LetterFiles {len(self._counted)} files, {self.letters} letters>"

    @property
    def letters(self) -> int:
        """Lines when they were last counted."""
        return sum(counted.lines for counted in self._counted.values())

    def count(self) -> None:
        """Count what is there; only what has changed since the last time is read.

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
            lines = known.lines + _newlines(path, known.size, status.st_size)
            counted[path.name] = Counted(status.st_ino, status.st_size, lines)
        self._counted = counted

    def append(self, lines: Sequence[bytes]) -> int:
        """Write as many lines as one file takes, at least one; return how many. They are on disk afterwards.

        Raises:
            OSError: disk full, read-only, or the lock is held by somebody else; nothing was written.
        """
        self._ensure()
        with locked(self.directory):
            path = self._writable(len(lines[0]))
            room = self._limit // FILES - _size(path)
            chosen = [lines[0]]
            room -= len(lines[0])
            for line in lines[1:]:
                room -= len(line)
                if room < 0:
                    break
                chosen.append(line)
            self._make_room(sum(map(len, chosen)), keep=path)
            append_private(path, b"".join(chosen))
            self.count()
        return len(chosen)

    def _ensure(self) -> None:
        """See whether the directory may be used."""
        if self._place is not None:
            self._place.ensure()

    def _writable(self, size: int) -> Path:
        """Return the newest file if a line still fits, else the next one's path."""
        files = letter_files(self.directory)
        if files and _size(files[-1]) + size <= self._limit // FILES:
            return files[-1]
        taken = max((number_of(name) for name in os.listdir(self.directory)), default=0)  # noqa: PTH208 - names only
        return self.directory / f"dead-letters-{taken + 1:06}.ndjson"

    def _make_room(self, size: int, *, keep: Path) -> None:
        files = letter_files(self.directory)
        total = sum(map(_size, files)) + size
        for path in files:
            if total <= self._limit or path == keep:
                return
            total -= _size(path)
            self.dropped += _newlines(path, 0, _size(path))
            path.unlink(missing_ok=True)


@contextmanager
def locked(directory: Path, *, wait: float | None = None) -> Iterator[None]:
    """Hold the lock of a directory's dead letters; at most `wait` seconds (LOCK_SECONDS) are spent waiting.

    Raises:
        OSError: somebody else holds it, or it cannot be made.
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


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner may read; what root makes belongs to the owner of the directory.

    Raises:
        OSError: it cannot be opened, or is a symbolic link.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0 and flags & os.O_CREAT:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def append_private(path: Path, lines: bytes) -> None:
    """Append lines and wait for the disk; a cut line that is there already is ended first.

    Raises:
        OSError: the file is as it was.
    """
    fresh = not path.exists()
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123 - the descriptor was opened with O_NOFOLLOW
        size = os.fstat(descriptor).st_size
        cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            write_all(descriptor, b"\n" + lines if cut else lines)
            os.fsync(descriptor)
        except OSError:
            file.truncate(size)
            raise
    if fresh:
        sync_directory(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything: a nearly full disk takes a part first and fails only then."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(directory: Path) -> None:
    """Wait until names made, moved or removed in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
