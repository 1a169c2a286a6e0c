"""When the requests of a fresh window leave: not all at its end, when every relay of a fleet closes its own. Pure.

What waits when a newer window appears is spread evenly over `seconds`. The first request leaves after a share of one
gap that depends on the host and is the same after a restart, so that a fleet, together, sends evenly: with one request
each, over all of `seconds`. A start counts as such a moment, so a fleet that restarts with a backlog begins evenly too.
Afterwards the rate alone paces what is left, without a period and so without an echo.
"""

from __future__ import annotations

import zlib


def phase_of(host: str) -> float:
    """Return the phase of a host, 0..1: the same for ever."""
    return zlib.crc32(host.encode()) / 2**32


class Spread:
    """State: the newest window seen, when the next request may leave, and how far apart they are."""

    def __init__(self, *, seconds: float, phase: float) -> None:
        """Make it for a host.

        Args:
            seconds: over which a window is spread; 0 for not at all.
            phase: 0..1, see `phase_of`.
        """
        self._seconds = seconds
        self._phase = phase
        self._newest: int | None = None
        self._gap = 0.0
        self._next_at = 0.0
        self._ends_at = 0.0

    def __repr__(self) -> str:
        """Report the gap."""
        return f"<Spread {self._gap:.3f} s apart>"

    def wait(self, now: float, *, window: int, waiting: int) -> float:
        """Return seconds until a request may leave; 0 says now.

        Args:
            now: monotonic seconds.
            window: id of the window it belongs to.
            waiting: requests that wait, this one among them.
        """
        if self._newest is None or window > self._newest:
            self._newest = window
            self._gap = self._seconds / waiting
            self._next_at = now + self._gap * self._phase
            self._ends_at = now + self._seconds
        return max(0.0, self._next_at - now) if now < self._ends_at else 0.0

    def leave(self, now: float) -> None:
        """Count a request that leaves."""
        self._next_at = max(self._next_at + self._gap, now)

    def stop(self) -> None:
        """Spread nothing any more."""
        self._seconds = self._gap = self._ends_at = 0.0
