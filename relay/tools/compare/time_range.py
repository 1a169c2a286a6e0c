"""The compared span of time, and the interval covered by the samples of a flush. Pure arithmetic, in seconds.

A flush holds the samples since the flush before. Its time is in whole seconds, rounded (statsd) or truncated
(gostatsd): the real moment lies between 0.5 s before and 1 s after it, and not after its arrival. Near an edge the two
daemons may put the same datagram on different sides of it, since they receive it at different moments and the relay
reads in bursts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

EARLIER: Final = 0.5
LATER: Final = 1.0
"""Bounds of the real moment of a flush: EARLIER before its time to LATER after it."""
SLACK: Final = 0.25
"""Seconds around an edge within which a datagram may be on either side."""
CLOCKS: Final = (-1.0, 3.0)
"""Range of arrival less time of a flush, if the clock of the daemon is right."""


class TimeRange(NamedTuple):
    """The compared span; its start and its end are window edges."""

    start: int
    end: int

    def counts(self, time: float) -> bool:
        """Say whether a flush at this time belongs to the span."""
        return self.start < time <= self.end

    def is_near_edge(self, covered: Covered) -> bool:
        """Say whether a flush may hold samples from the other side of an edge."""
        return any(covered.since < edge + SLACK and covered.until > edge - SLACK for edge in self)


class Covered(NamedTuple):
    """The widest interval in which the samples of a flush may have come."""

    time: float
    """Time of the flush, by the relay's clock."""
    since: float
    until: float
    missing: int
    """Flushes expected between this one and the one before that did not come."""


class FlushClock:
    """State: the time of the last flush, the shortest gap between flushes, and the error of the daemon's clock."""

    def __init__(self) -> None:
        self.skew = 0.0
        """Seconds that the daemon's clock is behind; 0 if it is about right."""
        self.interval = 0.0
        """The shortest gap between two flushes; 0 before the second."""
        self.last = float("-inf")
        """Time of the last flush."""

    def date(self, time: int, arrived: float) -> Covered:
        """Return the interval that a flush covers; call it once for each flush, in order.

        Args:
            time: the time in the lines of the flush.
            arrived: wall time at which its last line came.
        """
        is_first = self.last == float("-inf")
        if is_first and not CLOCKS[0] <= arrived - time <= CLOCKS[1]:
            self.skew = arrived - time
        dated, gap = time + self.skew, 0.0
        if not is_first:
            gap = dated - self.last
            self.interval = min(self.interval or gap, gap)
        missing = round(gap / self.interval) - 1 if gap > 1.5 * self.interval + 1 else 0
        until = max(dated - EARLIER, min(dated + LATER, arrived))
        covered = Covered(dated, self.last - EARLIER, until, missing)
        self.last = dated
        return covered

    def is_past(self, edge: float, time: float = float("-inf")) -> bool:
        """Say whether every flush after one at `time`, or after the last one, holds only samples from past an edge."""
        return max(self.last, time + self.skew) - EARLIER >= edge + SLACK
