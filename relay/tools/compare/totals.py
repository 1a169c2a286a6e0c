"""What each side adds up to over a span: of the old daemon flush by flush, of the relay window by window. Pure.

A flush near an edge may hold samples of the other side. If it counts, the relay may have less by what it holds; if it
does not, more. Those bounds are kept beside each total, with their signs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relay.model import Kind
from relay.tools.compare.namespaces import OldKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(slots=True)
class Sum:
    """What the flushes of a span add up to."""

    total: float = 0.0
    low: float = 0.0
    """The relay may have so much less: 0 or negative."""
    high: float = 0.0
    """The relay may have so much more."""

    def add(self, value: float, *, counts: bool, is_near: bool) -> None:
        """Take a flush's value."""
        if counts:
            self.total += value
        if is_near:
            elsewhere = -value if counts else value
            self.low += min(0.0, elsewhere)
            self.high += max(0.0, elsewhere)

    def is_nothing(self) -> bool:
        """Say whether no flush held anything."""
        return not (self.total or self.low or self.high)

    def merge(self, other: Sum) -> None:
        """Add another one."""
        self.total += other.total
        self.low += other.low
        self.high += other.high


@dataclass(slots=True)
class Gauge:
    """What the flushes say of a gauge."""

    last: float
    """In the last flush of the span."""
    following: float
    """In the flush after that, if it is near the edge."""
    has_moved: bool = False

    def merge(self, other: Gauge) -> None:
        """Add another one, as if both were one value."""
        self.last += other.last
        self.following += other.following
        self.has_moved |= other.has_moved


@dataclass(slots=True)
class OldTotals:
    """State: what each name of the old daemon adds up to."""

    sums: dict[OldKey, Sum] = field(default_factory=dict)
    """Of counters; of timers `count` and `sum`."""
    gauges: dict[OldKey, Gauge] = field(default_factory=dict)
    sets: dict[OldKey, float] = field(default_factory=dict)
    """The most of any flush."""
    sampled: set[str] = field(default_factory=set)
    """Timers with a sample rate: their sum is of the values that came."""

    def fold(self, values: Mapping[OldKey, float], *, counts: bool, is_near: bool) -> None:
        """Take a flush, in order; one that neither counts nor is near an edge changes nothing."""
        for key, value in values.items():
            if key.kind is Kind.GAUGE:
                self._fold_gauge(key, value, counts=counts, is_near=is_near)
            elif key.kind is Kind.SET:
                if counts:
                    self.sets[key] = max(value, self.sets.get(key, 0.0))
            elif key.statistic == "mean":
                self._note_rate(values, key.name, value)
            elif counts or is_near:
                self.sums.setdefault(key, Sum()).add(value, counts=counts, is_near=is_near)

    def _fold_gauge(self, key: OldKey, value: float, *, counts: bool, is_near: bool) -> None:
        gauge = self.gauges.get(key)
        if counts:
            moved = gauge is not None and (gauge.has_moved or gauge.last != value)
            self.gauges[key] = Gauge(value, value, moved)
        elif is_near and gauge is not None:
            gauge.following = value

    def _note_rate(self, values: Mapping[OldKey, float], name: str, mean: float) -> None:
        count = values.get(OldKey(Kind.TIMER, name, "count"))
        total = values.get(OldKey(Kind.TIMER, name, "sum"))
        if count and mean and total is not None and not math.isclose(mean * count, total, rel_tol=1e-6, abs_tol=1e-4):
            self.sampled.add(name)


@dataclass(slots=True)
class Metric:
    """What the relay sent under a name, over all dimensions."""

    sum: float = 0.0
    count: float = 0.0
    most: float = 0.0
    """The largest sum of a window."""
    last: float = 0.0
    """In the last window that has it; so are the next two."""
    lowest: float = 0.0
    highest: float = 0.0

    def close_window(self, window: Metric) -> None:
        """Take what a window has."""
        self.sum += window.sum
        self.count += window.count
        self.most = max(self.most, window.sum)
        self.last, self.lowest, self.highest = window.last, window.lowest, window.highest

    def add(self, values: Mapping[str, float]) -> None:
        """Take a point of a window: every statistic, or the one value of raw output."""
        only = values.get("value", 0.0)
        self.sum += values.get("sum", only)
        self.count += values.get("count", 0.0)
        self.last += values.get("last", only)
        self.lowest += values.get("min", only)
        self.highest += values.get("max", only)


def fold_window(metrics: dict[str, Metric], points: Iterable[Mapping[str, Any]]) -> None:
    """Add the points of a window, as they are sent, to what each metric has so far."""
    window: dict[str, Metric] = {}
    for point in points:
        window.setdefault(point["metric"], Metric()).add(point["values"])
    for name, metric in window.items():
        metrics.setdefault(name, Metric()).close_window(metric)
