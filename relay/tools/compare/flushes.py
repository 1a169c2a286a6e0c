"""The old daemon's flushes, put together from lines: whose values they are, and what they add to the totals.

A flush is all lines of one time. Before it is known how the daemon names things, and when the span begins, lines only
say that it is there. Bounded (I6): distinct names; values of the flush that comes in, and totals, nothing older.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.model import Kind
from relay.tools.compare.time_range import Dating
from relay.tools.compare.totals import OldTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relay.tools.compare.graphite import Measure
    from relay.tools.compare.namespaces import Namespaces, OldKey
    from relay.tools.compare.time_range import TimeRange

NAMES_MOST: Final = 500_000
SILENCE: Final = 0.5
"""Seconds after which no more lines of a flush come."""
_OWN_TIME: Final = ".graphiteStats."
"""statsd dates these of its own at another moment than the rest of the flush."""


class Flushes:
    """State: the flush that comes in, the names seen, and the totals so far."""

    def __init__(self, find_namespaces: Callable[[Iterable[str]], Namespaces | None]) -> None:
        self._find_namespaces = find_namespaces
        self.namespaces: Namespaces | None = None
        """How the daemon names things; None until a flush tells."""
        self.span: TimeRange | None = None
        """What counts; None until it is known."""
        self.totals = OldTotals()
        self.dating = Dating()
        self.counted = self.near = self.missing = 0
        """Flushes of the span; those that may hold samples of both sides of an edge; those that did not come."""
        self.late = self.left_out = self.unreadable = 0
        """Lines of a flush that is over, with names beyond the bound, and that were none of Graphite's."""
        self.touched = 0.0
        """When the newest line came, by the wall clock; 0 before the first."""
        self.names: dict[str, OldKey | None] = {}
        """Every name of Graphite that was seen, and which value it is."""
        self._time = 0
        """Of the flush that comes in; 0 if none does."""
        self._least = 0
        """Flushes before this time are over."""
        self._values: dict[OldKey, float] = {}

    def __repr__(self) -> str:
        """Report the counts."""
        return f"<Flushes {self.counted} counted, {len(self.names)} names>"

    def receive(self, measure: Measure, arrived: float) -> None:
        """Take a line, at wall time `arrived`."""
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
            self._take(key, measure.value)

    def _find(self, name: str) -> OldKey | None:
        if name in self.names:
            return self.names[name]
        if len(self.names) >= NAMES_MOST:
            self.left_out += 1
            return None
        key = self.namespaces.read(name) if self.namespaces else None
        self.names[name] = key
        return key

    def _take(self, key: OldKey, value: float) -> None:
        """Take a value; a daemon that flushes twice a second says the same time twice."""
        before = self._values.get(key)
        if before is None or key.kind is Kind.GAUGE:
            self._values[key] = value
        elif key.statistic == "mean":
            self._values[key] = 0.0  # of two flushes, it says nothing of their sum
        else:
            self._values[key] = max(before, value) if key.kind is Kind.SET else before + value

    def learn(self, now: float) -> bool:
        """Find out how the daemon names things, once a flush is complete; say whether it is known."""
        if self.namespaces is None and self._is_complete(now):
            self.namespaces = self._find_namespaces(self.names)
            if self.namespaces:
                self.names = {}
        return self.namespaces is not None

    def _is_complete(self, now: float) -> bool:
        return self.dating.last > 0 or (self._time > 0 and now - self.touched > SILENCE)

    def finish(self) -> None:
        """Fold the flush that came in: nothing more of it comes."""
        if not self._time:
            return
        covered = self.dating.date(self._time, self.touched)
        self._least, self._time = self._time + 1, 0
        if self.span:
            counts, is_near = self.span.counts(covered.time), self.span.is_near_edge(covered)
            self.totals.fold(self._values, counts=counts, is_near=is_near)
            self.counted += counts
            self.near += is_near
            self.missing += covered.missing if counts else 0
        self._values = {}

    def is_past(self, edge: int, now: float) -> bool:
        """Say whether every flush has come that may hold samples from before an edge."""
        return self.dating.is_past(edge) or (
            self._time > 0 and self.dating.is_past(edge, self._time) and now - self.touched > SILENCE
        )
