"""A text in an anonymous file in memory, which another process is given by its descriptor.

A configuration may hold a secret: it travels between the supervisor and its children on no disk and in no variable, of
any length, and whole or not at all, since the file is complete before its descriptor is given.
"""

from __future__ import annotations

import os


def create(text: str = "") -> int:
    """Make one that holds the text; return its descriptor, which is the caller's to close.

    Raises:
        OSError: the system has no memory, or allows no such file.
    """
    descriptor = os.memfd_create("statsd-relay")
    append(descriptor, text)
    return descriptor


def append(descriptor: int, text: str) -> None:
    """Write the text after what is there.

    Raises:
        OSError: the system has no memory.
    """
    left = text.encode()
    while left:
        left = left[os.write(descriptor, left) :]


def read(descriptor: int, *, most: int = 1 << 24) -> str:
    """Return what it holds, from the beginning and up to so many bytes."""
    return os.pread(descriptor, min(most, os.fstat(descriptor).st_size), 0).decode("utf-8", "replace")
