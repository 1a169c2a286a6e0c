"""Prevents core dumps: the memory of this process holds credentials and the lines of its senders."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_FILTER: Final = Path("/proc/self/coredump_filter")
"""core(5): which memory a core dump contains. It holds for dumps piped to a program too, which ignore RLIMIT_CORE."""


def prevent_core_dumps() -> None:
    """Let this process and its children leave no core dump, or one that contains no memory.

    PR_SET_DUMPABLE would prevent dumps as well, but hides the process from commands of its own user
    (delivery/state/directory.py).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a kernel without it, or a /proc that is read-only
        _FILTER.write_text("0")
