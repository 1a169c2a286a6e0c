"""Text in an anonymous file in memory (memfd_create), passed to another process by its descriptor.

A configuration may hold a secret, so the supervisor and its children exchange it neither on disk nor in a variable. A
file takes a text of any length. It is complete before its descriptor is passed, so a reader never sees a part.
"""

from __future__ import annotations

import os


def create(text: str = "") -> int:
    """Create an anonymous file that holds the text; return its descriptor, which the caller closes.

    Raises:
        OSError: no memory is left, or memfd_create is not allowed.
    """
    descriptor = os.memfd_create("statsd-relay")
    append(descriptor, text)
    return descriptor


def append(descriptor: int, text: str) -> None:
    """Append the text to the file.

    Raises:
        OSError: no memory is left.
    """
    left = text.encode()
    while left:
        left = left[os.write(descriptor, left) :]


def read(descriptor: int, *, most: int = 1 << 24) -> str:
    """Return the content of the file from its beginning, at most `most` bytes."""
    return os.pread(descriptor, min(most, os.fstat(descriptor).st_size), 0).decode("utf-8", "replace")
