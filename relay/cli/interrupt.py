"""SIGINT and SIGTERM as a wish to end: whoever waits is woken, and nothing is torn apart in the middle."""

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
"""Seconds of one wait: select(2) takes no more than some centuries."""


class Interrupt:
    """State: whether a signal has come; a pair of sockets that wakes who waits. In the main thread alone.

    A Python event would not do: its `set` in a signal handler waits for ever if the signal comes within its `wait`.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._awake, self._waker = socket.socketpair()
        self._before: list[Any] = []

    def __repr__(self) -> str:
        """Report whether a signal has come."""
        return f"<Interrupt {self.is_interrupted}>"

    def __enter__(self) -> Interrupt:
        """Take the signals."""
        self._waker.setblocking(False)
        self._before = [signal.signal(number, self._note) for number in _SIGNALS]
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        signal.set_wakeup_fd(-1)
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)
        self._awake.close()
        self._waker.close()

    def _note(self, *_: object) -> None:
        self.is_interrupted = True

    def monotonic(self) -> float:
        """Seconds; never steps back."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Return after so long, after a day, or when a signal comes: whether the time has come is for the caller."""
        select.select([self._awake], [], [], min(seconds, _LONGEST))

    def listen(self, sock: socket.socket, seconds: float) -> None:
        """Return when the socket can be read, after so long, or when a signal comes."""
        select.select([self._awake, sock], [], [], seconds)
