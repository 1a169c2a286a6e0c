"""The state directory: which one, and whether it can be used."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.schema import Spool

_SYSTEM: Final = Path("/var/lib/statsd-relay")


def state_directory(spool: Spool, environ: Mapping[str, str], home: Path) -> Path | None:
    """Return the configured directory, systemd's, the system's or the user's; None for memory only."""
    if spool.path == "none":
        return None
    if spool.path:
        return Path(spool.path)
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.access(_SYSTEM if _SYSTEM.exists() else _SYSTEM.parent, os.W_OK):
        return _SYSTEM
    return home / ".local/state/statsd-relay"


def prepare_state_directory(directory: Path) -> None:
    """Make the directory, private to its owner, and try to write.

    Raises:
        RelayError: RLY101, it cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        fix = 'give [spool] path a directory this user can write, or "none" to keep requests in memory only'
        message = f"cannot use state directory {directory}: {error.strerror}"
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE) from error
