"""Turns SIGINT and SIGTERM into a flag that commands check: a wait ends at once, work in progress is completed."""

from __future__ import annotations

import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_LONGEST: Final = 86_400.0
"""Longest single wait, in seconds: select(2) refuses very large timeouts."""


class Interrupt:
    """State: whether a signal has come, and a socket pair that ends a wait. For the main thread only.

    threading.Event is not usable: `set` in a signal handler deadlocks if the signal comes while `wait` holds its lock.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._awake, self._waker = socket.socketpair()
        self._before: list[Any] = []

    def __enter__(self) -> Interrupt:
        """Install the signal handlers."""
        self._waker.setblocking(False)
        self._before = [signal.signal(number, self._interrupt) for number in _SIGNALS]
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the former signal handlers."""
        signal.set_wakeup_fd(-1)
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)
        self._awake.close()
        self._waker.close()

    def _interrupt(self, *_: object) -> None:
        self.is_interrupted = True

    def monotonic(self) -> float:
        """Return monotonic time in seconds."""
        return time.monotonic()

    def wait(self, seconds: float, sock: socket.socket | None = None) -> None:
        """Return after `seconds` (a day at most), when the socket is readable, or when a signal comes."""
        select.select([self._awake, *([sock] if sock else [])], [], [], min(seconds, _LONGEST))
