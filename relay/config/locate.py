"""The state directory: which one. Whether it can be used is for delivery/state_directory.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
