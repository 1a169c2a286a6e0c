"""When what is due: absolute schedules, so that errors of single waits never add up. Pure."""

from __future__ import annotations

from typing import Final

SLICE: Final = 0.001
"""Seconds between two looks at the clock: datagrams due meanwhile go together."""
_CATCH_UP: Final = 4
"""Times as much as a slice holds goes at once after a stall: it is caught up without a flood."""
_BURST: Final = (16, 1_000)
"""At least and at most, so that the time is looked at often enough."""


class Pace:
    """A steady rate of things for some time; all of it, if the machine keeps up.

    Args:
        rate: things a second.
        seconds: how long; `total` is at least 1.
    """

    def __init__(self, *, rate: float, seconds: float) -> None:
        self._rate = rate
        self.total = max(1, round(rate * seconds))
        self.burst = min(max(_BURST[0], round(rate * SLICE * _CATCH_UP)), _BURST[1])
        """At most so many are due at once."""

    def __repr__(self) -> str:
        """Report the rate and the total."""
        return f"<Pace {self._rate:g}/s, {self.total} in all>"

    def due(self, elapsed: float, done: int) -> int:
        """Return how many are to be done now, so many seconds after the beginning; the first one at once."""
        return max(0, min(int(elapsed * self._rate) + 1, self.total, done + self.burst) - done)

    def moment(self, number: int) -> float:
        """Return when thing `number` (from 0) is due, in seconds after the beginning."""
        return number / self._rate


class Spacing:
    """The spacing of recorded times, faster or slower.

    Args:
        speed: 2 is twice as fast; 0 is no spacing at all.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self.is_kept = speed > 0
        self._first: int | None = None

    def __repr__(self) -> str:
        """Report the speed."""
        return f"<Spacing x{self._speed:g}>"

    def moment(self, time: int) -> float:
        """Return when what happened at `time` (ns) is due, in seconds after the first; one out of order is overdue."""
        if not self._speed:
            return 0.0
        if self._first is None:
            self._first = time
        return (time - self._first) / 1e9 / self._speed
