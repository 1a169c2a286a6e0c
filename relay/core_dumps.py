"""No memory of this process on a disk: credentials are in it, and whatever senders sent."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_FILTER: Final = Path("/proc/self/coredump_filter")
"""core(5): which memory a core dump has; also of one that goes to a program, which RLIMIT_CORE does not stop."""


def prevent_core_dumps() -> None:
    """Let this process, and those that it starts, leave no core dump, or one without any memory.

    PR_SET_DUMPABLE would do the same, but hides the process from commands of its own user (state/directory.py).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a kernel without it, or a /proc that is read-only
        _FILTER.write_text("0")
