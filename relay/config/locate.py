"""The state directory and the home directory: which ones. Whether they can be used is for those who use them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.errors import ExitCode, Problem, RelayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.config.schema import Spool

_SYSTEM: Final = Path("/var/lib/statsd-relay")
_FOLDER: Final = "state"
"""In a directory that the system provides: volumes of containers come with owners and modes of their own, and the
relay makes this folder 0700 itself."""


def home_directory() -> Path | None:
    """Return the user's home; None for a uid that has neither HOME nor an entry in the list of users."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def state_directory(spool: Spool, environ: Mapping[str, str], home: Path | None) -> Path | None:
    """Return the configured directory, one in systemd's or the system's, or the user's; None for memory only.

    Raises:
        RelayError: RLY101, there is no home to put one into.
    """
    if spool.path == "none":
        return None
    if spool.path:
        return Path(spool.path)
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return _in(Path(given))
    if os.access(_SYSTEM if _SYSTEM.exists() else _SYSTEM.parent, os.W_OK):
        return _in(_SYSTEM)
    if home is None:
        message = f"no state directory: {_SYSTEM} is not writable, and uid {os.geteuid()} has no home directory"
        fix = 'give [spool] path a directory of this user, or "none" to keep requests in memory only; or set HOME'
        raise RelayError(Problem(code="RLY101", message=message, fix=fix), exit_code=ExitCode.BIND_OR_STATE)
    return home / ".local/state/statsd-relay"


def _in(provided: Path) -> Path:
    """Return the folder in a provided directory; the directory itself if an earlier release has used that."""
    return provided if os.access(provided / "spool.db", os.F_OK) else provided / _FOLDER
