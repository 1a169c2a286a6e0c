"""The signals that a worker acts on, held back until it can.

A worker reads packets long before it can stop in order: a signal that killed it half made would lose what it has read.
"""

from __future__ import annotations

import signal
from typing import Final

HELD_BACK: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
"""Stop, reload, hand over."""
SAME_SECONDS: Final = 0.5
"""A signal to stop that follows another so soon is the same wish: `timeout` sends two within a millisecond."""


def block() -> None:
    """Let them wait, over an exec too; threads that start now never take them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def unblock() -> None:
    """Take those that waited: who calls this has handlers."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def is_stop_waiting() -> bool:
    """Say whether one that asks for a stop is held back."""
    return not signal.sigpending().isdisjoint((signal.SIGTERM, signal.SIGINT))
