"""Files of the state directory: private to their owner, opened without following symbolic links, flushed to the disk.

Every function blocks. Not known here: the names and the content of the files.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BUFFER: Final = 1024 * 1024


def open_private(path: Path, flags: int) -> int:
    """Open a file; a new one has mode 0600, and one made by root belongs to the owner of its directory.

    Raises:
        OSError: the file cannot be opened, or is a symbolic link.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0 and flags & os.O_CREAT and (owner := path.parent.stat()).st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def write_lines(path: Path, flags: int, lines: Iterable[bytes]) -> int:
    """Write to a file and flush it to the disk; return its size.

    Args:
        path: of the file.
        flags: of open(2), besides O_WRONLY.
        lines: the content, in pieces.

    Raises:
        OSError: the file cannot be opened or written; a part may have been written.
    """
    descriptor = open_private(path, os.O_WRONLY | flags)
    with open(descriptor, "wb", buffering=_BUFFER) as file:  # noqa: PTH123 - a descriptor
        file.writelines(lines)
        file.flush()
        os.fdatasync(descriptor)
        return file.tell()


def sync(path: Path) -> None:
    """Flush a file to the disk, or the names in a directory: created, renamed and removed ones."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def time_label(seconds: float) -> str:
    """Return a wall time for the name of a file that is set aside, such as 20261130T220512Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
