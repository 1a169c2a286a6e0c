"""Schedules of sending. Pure.

A schedule is absolute, counted from its start, so errors of single waits do not accumulate.
"""

from __future__ import annotations

from typing import Final

SLICE: Final = 0.001
"""Seconds between two checks of the clock; datagrams due within a slice are sent together."""
_CATCH_UP: Final = 4
"""Largest burst after a stall, in slices: the schedule is caught up without a flood."""
_BURST: Final = (16, 1_000)
"""Bounds of a burst in datagrams, so that the clock is checked often enough."""


class Pace:
    """A steady rate over a time.

    Args:
        rate: datagrams a second.
        seconds: duration; `total` is at least 1.
    """

    def __init__(self, *, rate: float, seconds: float) -> None:
        self._rate = rate
        self.total = max(1, round(rate * seconds))
        self.burst = min(max(_BURST[0], round(rate * SLICE * _CATCH_UP)), _BURST[1])
        """Largest number of datagrams due at once."""

    def due(self, elapsed: float, done: int) -> int:
        """Return how many datagrams are due now, `elapsed` seconds after the start and after `done` of them."""
        return max(0, min(int(elapsed * self._rate) + 1, self.total, done + self.burst) - done)

    def moment(self, number: int) -> float:
        """Return when datagram `number` (from 0) is due, in seconds after the start."""
        return number / self._rate


class Spacing:
    """The spacing of recorded datagrams at another speed.

    Args:
        speed: 2 is twice as fast; 0: without spacing.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self.is_kept = speed > 0
        self._first: int | None = None

    def moment(self, time: int) -> float:
        """Return when a datagram recorded at `time` (ns) is due, in seconds after the first one.

        A datagram with an earlier time than its predecessors is overdue, so it is sent at once.
        """
        if not self._speed:
            return 0.0
        if self._first is None:
            self._first = time
        return (time - self._first) / 1e9 / self._speed
