"""Reads a file whose kind and length are not ours to choose: a path may name a pipe, a device or a disk without end.

`run -c <(...)` and `/dev/stdin` are pipes, so a pipe is read like a file; one that nothing is written into is an error
after some seconds, and not a wait without end.
"""

from __future__ import annotations

import errno
import os
import select
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE: Final = 10.0
"""Seconds for what writes into a pipe."""
_CHUNK: Final = 65_536


def read_bounded(path: Path, most: int, *, patience: float | None = PATIENCE) -> bytes:
    """Return what a file holds, and at most so many bytes of it; blocks no longer than `patience`, None: without limit.

    Raises:
        OSError: it cannot be read, or nothing was written into it in time.
    """
    ends = None if patience is None else time.monotonic() + patience
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = b""
        while len(content) < most and (chunk := _read(descriptor, most - len(content), ends)):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int, ends: float | None) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    left = None if ends is None else max(0.0, ends - time.monotonic()) * 1000
    if not poll.poll(left):
        raise OSError(errno.ETIMEDOUT, "it is a pipe, and nothing was written into it in time")
    return os.read(descriptor, min(most, _CHUNK))
