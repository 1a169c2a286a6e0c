"""Which process serves a state directory, found by the `lock` file that it holds there: its first line is a pid.

Whoever holds the lock is the worker; if a supervisor started it, that one is who takes signals. The environment a
process was started with says so, and its parent confirms it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LOCK: Final = "lock"
_PROC: Final = Path("/proc")
_SUPERVISOR: Final = b"RELAY_SUPERVISOR="


def find_running(state: Path) -> int | None:
    """Return the pid to signal; None if nobody serves this directory, or not as a process we may look at."""
    try:
        worker = int((state / LOCK).read_text().split(maxsplit=1)[0])
        command = (_PROC / str(worker) / "cmdline").read_bytes().split(b"\0")
        variables = (_PROC / str(worker) / "environ").read_bytes().split(b"\0")
        parent = int((_PROC / str(worker) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
    if worker == os.getpid() or b"run" not in command:
        return None
    return parent if _SUPERVISOR + str(parent).encode() in variables else worker
