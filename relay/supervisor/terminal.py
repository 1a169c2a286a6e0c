"""Says whether the terminal from which a relay was started has been closed: the kernel tells that by SIGHUP too.

Without this, a relay in the foreground would take a closed terminal for a reload, stay and hold its ports.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Final

_LOOKS: Final = 5
_PAUSE: Final = 0.02
"""The signal may come some milliseconds before the terminal is gone."""


class Terminal:
    """State: whether the end of a terminal stops the relay: it had one at the start, and was started without nohup."""

    def __init__(self) -> None:
        self._matters = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _is_there()

    def is_closed(self) -> bool:
        """Say whether the terminal of the start is gone; call it on SIGHUP. It may take 0.1 s if it is there."""
        return self._matters and any(_is_gone(wait=bool(look)) for look in range(_LOOKS))


def _is_gone(*, wait: bool) -> bool:
    if wait:
        time.sleep(_PAUSE)
    return not _is_there()


def _is_there() -> bool:
    """Say whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True
