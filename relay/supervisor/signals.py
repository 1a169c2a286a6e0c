"""Signals that a worker handles, blocked until its handlers are installed.

A worker reads packets long before it can stop in order. A signal with the default action would kill it in between, and
the packets read so far would be lost.
"""

from __future__ import annotations

import signal
from typing import Final

HELD_BACK: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
"""Stop, reload, hand over."""
SAME_SECONDS: Final = 0.5
"""A second signal to stop within this time counts as the first: `timeout` sends two within a millisecond."""


def block() -> None:
    """Block the signals, over an exec too; threads started from now on never receive them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def unblock() -> None:
    """Unblock the signals and receive pending ones; the handlers must be installed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def is_stop_waiting() -> bool:
    """Return whether a signal to stop is pending."""
    return not signal.sigpending().isdisjoint((signal.SIGTERM, signal.SIGINT))
