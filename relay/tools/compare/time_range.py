"""Which time is compared, and on which side of its edges the samples of a flush came. Pure arithmetic, in seconds.

A flush holds what came since the one before. It says when it was in whole seconds, rounded (statsd) or cut (gostatsd),
so its moment is between half a second before and a second after that, and not after it arrived. Around an edge the two
daemons may put the same datagram on different sides: it reaches them one after the other, and a relay reads in bursts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

EARLIER: Final = 0.5
LATER: Final = 1.0
"""The moment of a flush lies so much before or after its time, at most."""
SLACK: Final = 0.25
"""Around an edge."""
CLOCKS: Final = (-1.0, 3.0)
"""Between its time and its arrival, a flush of a daemon whose clock goes right."""


class TimeRange(NamedTuple):
    """What is compared; both are edges of windows."""

    start: int
    end: int

    def counts(self, time: float) -> bool:
        """Say whether a flush of that time is one of the span's."""
        return self.start < time <= self.end

    def is_near_edge(self, covered: Covered) -> bool:
        """Say whether some of a flush's samples may have come on the other side of an edge."""
        return any(covered.since < edge + SLACK and covered.until > edge - SLACK for edge in self)


class Covered(NamedTuple):
    """When the samples of a flush came, at the most."""

    time: float
    """The flush's, by the relay's clock."""
    since: float
    until: float
    missing: int
    """Flushes that should have come since the one before."""


class Dating:
    """State: the last flush's time, the shortest gap between flushes, and how wrong the daemon's clock is."""

    def __init__(self) -> None:
        self.skew = 0.0
        """The daemon's clock is so much behind; 0 if it is about right."""
        self.interval = 0.0
        """The shortest gap between two flushes; 0 before the second."""
        self.last = float("-inf")
        """Time of the last flush."""

    def __repr__(self) -> str:
        """Report the last flush."""
        return f"<Dating last {self.last}, every {self.interval} s>"

    def date(self, time: int, arrived: float) -> Covered:
        """Return what a flush covers; each flush once, in order.

        Args:
            time: that it says.
            arrived: when the last of it was received.
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
        """Say whether all that is still to come after a flush of `time`, or after the last one, is past an edge."""
        return max(self.last, time + self.skew) - EARLIER >= edge + SLACK
