"""Assembles the old daemon's flushes from Graphite lines, and adds their values to the totals.

A flush consists of all lines with the same time. Until the namespaces and the span are known, the lines only serve to
detect the namespaces. Bounded (I6): the number of distinct names; beside the totals, only the values of the current
flush are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.model import Kind
from relay.tools.compare.time_range import FlushClock
from relay.tools.compare.totals import OldTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relay.tools.compare.graphite import Measure
    from relay.tools.compare.namespaces import Namespaces, OldKey
    from relay.tools.compare.time_range import TimeRange

NAMES_MOST: Final = 500_000
SILENCE: Final = 0.5
"""Seconds without a line after which a flush is complete."""
_OWN_TIME: Final = ".graphiteStats."
"""Part of the names of statsd's own metrics with another time than the rest of the flush."""


class Flushes:
    """State: the current flush, the names seen, and the totals so far."""

    def __init__(self, find_namespaces: Callable[[Iterable[str]], Namespaces | None]) -> None:
        self._find_namespaces = find_namespaces
        self.namespaces: Namespaces | None = None
        """How the daemon names its values; None until a flush shows it."""
        self.span: TimeRange | None = None
        """The compared span; None until it is known."""
        self.totals = OldTotals()
        self.clock = FlushClock()
        self.counted = self.near = self.missing = 0
        """Flushes of the span; flushes that may hold samples of both sides of an edge; flushes that did not come."""
        self.late = self.left_out = self.unreadable = 0
        """Lines that came after their flush was over; lines with a name beyond the bound; lines not of Graphite."""
        self.touched = 0.0
        """Wall time at which the newest line came; 0 before the first."""
        self.names: dict[str, OldKey | None] = {}
        """Every Graphite name seen, with the value that it stands for."""
        self._time = 0
        """Time of the current flush; 0 without one."""
        self._least = 0
        """Flushes with an earlier time are over."""
        self._values: dict[OldKey, float] = {}

    def receive(self, measure: Measure, arrived: float) -> None:
        """Add a line that came at wall time `arrived`."""
        if _OWN_TIME in measure.name:
            return
        if measure.time < self._least:
            self.late += 1
            return
        if measure.time != self._time:
            self.finish()
            self._time = self._least = measure.time
        self.touched = arrived
        key = self._find(measure.name)
        if key is not None:
            self._add(key, measure.value)

    def _find(self, name: str) -> OldKey | None:
        if name in self.names:
            return self.names[name]
        if len(self.names) >= NAMES_MOST:
            self.left_out += 1
            return None
        key = self.namespaces.read(name) if self.namespaces else None
        self.names[name] = key
        return key

    def _add(self, key: OldKey, value: float) -> None:
        """Add a value; a daemon that flushes twice a second sends two values with the same time."""
        before = self._values.get(key)
        if before is None or key.kind is Kind.GAUGE:
            self._values[key] = value
        elif key.statistic == "mean":
            self._values[key] = 0.0  # two means give no mean of both flushes
        else:
            self._values[key] = max(before, value) if key.kind is Kind.SET else before + value

    def detect_namespaces(self, now: float) -> bool:
        """Detect the namespaces once a flush is complete; return whether they are known."""
        if self.namespaces is None and self._is_complete(now):
            self.namespaces = self._find_namespaces(self.names)
            if self.namespaces:
                self.names = {}
        return self.namespaces is not None

    def _is_complete(self, now: float) -> bool:
        return self.clock.last > 0 or (self._time > 0 and now - self.touched > SILENCE)

    def finish(self) -> None:
        """End the current flush and fold its values into the totals."""
        if not self._time:
            return
        covered = self.clock.date(self._time, self.touched)
        self._least, self._time = self._time + 1, 0
        if self.span:
            counts, is_near = self.span.counts(covered.time), self.span.is_near_edge(covered)
            self.totals.fold(self._values, counts=counts, is_near=is_near)
            self.counted += counts
            self.near += is_near
            self.missing += covered.missing if counts else 0
        self._values = {}

    def is_past(self, edge: int, now: float) -> bool:
        """Say whether every flush that may hold samples from before an edge has come."""
        return self.clock.is_past(edge) or (
            self._time > 0 and self.clock.is_past(edge, self._time) and now - self.touched > SILENCE
        )
