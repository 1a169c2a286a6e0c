"""What can be configured, what is valid, and where it comes from; here: the file of `run` and of every other command.

This module imports next to nothing, since a health check uses it every few seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DEFAULT_FILE: Final = Path("/etc/statsd-relay/relay.toml")
"""The file that a command uses if its command line names none."""


def find_file(path: Path | None) -> Path | None:
    """Return the file that the command line names, else the default file if there is one; None: defaults only.

    A default file that this user cannot look at counts as one: reading it then says why it cannot be read.
    """
    return path or (DEFAULT_FILE if _is_there(DEFAULT_FILE) else None)


def _is_there(path: Path) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - Path.exists() raises where a directory above cannot be searched
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
