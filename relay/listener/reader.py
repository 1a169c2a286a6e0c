"""A reader thread: one socket, read by native code that never takes the GIL."""

from __future__ import annotations

import os
from threading import Thread
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Reader(Protocol):
    """The body of the thread."""

    @property
    def datagrams(self) -> int:
        """Received so far."""
        ...

    def run(self) -> None:
        """Read until the stop descriptor is readable, then take what still waits."""


class ReaderThread:
    """State: the thread, and the descriptor that ends it."""

    def __init__(self, make: Callable[[int], Reader | None]) -> None:
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._reader = make(self._stop)
        self._thread: Thread | None = None

    def __repr__(self) -> str:
        """Report the datagrams."""
        return f"<ReaderThread {self.datagrams} datagrams>"

    def __bool__(self) -> bool:
        """Whether there is something to run: Python's hot path reads on the loop."""
        return self._reader is not None

    @property
    def datagrams(self) -> int:
        """Received so far."""
        return self._reader.datagrams if self._reader else 0

    def start(self, name: str) -> None:
        """Begin to read."""
        if self._reader is not None:
            self._thread = Thread(target=self._reader.run, name=name)
            self._thread.start()

    def stop(self) -> None:
        """Let it take what waits, and end; takes milliseconds."""
        if self._thread is not None:
            os.eventfd_write(self._stop, 1)
            self._thread.join()
        os.close(self._stop)
