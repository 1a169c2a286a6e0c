"""Totals of both sides over a span: of the old daemon flush by flush, of the relay window by window. Pure.

A flush near an edge may hold samples from the other side of it. If the flush counts, the relay's total may be lower by
up to its value; if it does not count, higher. Each total keeps these bounds, with their signs.
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
    """Sum of the flushes of a span, and its bounds."""

    total: float = 0.0
    low: float = 0.0
    """Lower bound of the relay's difference: 0 or negative."""
    high: float = 0.0
    """Upper bound of the relay's difference: 0 or positive."""

    def add(self, value: float, *, counts: bool, is_near: bool) -> None:
        """Add the value of a flush."""
        if counts:
            self.total += value
        if is_near:
            elsewhere = -value if counts else value
            self.low += min(0.0, elsewhere)
            self.high += max(0.0, elsewhere)

    def is_nothing(self) -> bool:
        """Say whether no flush had a value other than 0."""
        return not (self.total or self.low or self.high)

    def merge(self, other: Sum) -> None:
        """Add another sum."""
        self.total += other.total
        self.low += other.low
        self.high += other.high


@dataclass(slots=True)
class Gauge:
    """Values of a gauge in the flushes."""

    last: float
    """Value in the last flush of the span."""
    following: float
    """Value in the flush after the span, if that flush is near the edge; else equal to `last`."""
    has_moved: bool = False

    def merge(self, other: Gauge) -> None:
        """Add another gauge, since both have the same name at the relay."""
        self.last += other.last
        self.following += other.following
        self.has_moved |= other.has_moved


@dataclass(slots=True)
class OldTotals:
    """State: the totals of each name of the old daemon."""

    sums: dict[OldKey, Sum] = field(default_factory=dict)
    """Counters, and `count` and `sum` of timers."""
    gauges: dict[OldKey, Gauge] = field(default_factory=dict)
    sets: dict[OldKey, float] = field(default_factory=dict)
    """The largest cardinality of any flush."""
    sampled: set[str] = field(default_factory=set)
    """Timers with a sample rate; the old daemon's sum is not scaled by it."""

    def fold(self, values: Mapping[OldKey, float], *, counts: bool, is_near: bool) -> None:
        """Add a flush, in order; one that neither counts nor is near an edge changes nothing."""
        for key, value in values.items():
            if key.kind is Kind.GAUGE:
                self._fold_gauge(key, value, counts=counts, is_near=is_near)
            elif key.kind is Kind.SET:
                if counts:
                    self.sets[key] = max(value, self.sets.get(key, 0.0))
            elif key.statistic == "mean":
                self._detect_sample_rate(values, key.name, value)
            elif counts or is_near:
                self.sums.setdefault(key, Sum()).add(value, counts=counts, is_near=is_near)

    def _fold_gauge(self, key: OldKey, value: float, *, counts: bool, is_near: bool) -> None:
        gauge = self.gauges.get(key)
        if counts:
            moved = gauge is not None and (gauge.has_moved or gauge.last != value)
            self.gauges[key] = Gauge(value, value, moved)
        elif is_near and gauge is not None:
            gauge.following = value

    def _detect_sample_rate(self, values: Mapping[OldKey, float], name: str, mean: float) -> None:
        count = values.get(OldKey(Kind.TIMER, name, "count"))
        total = values.get(OldKey(Kind.TIMER, name, "sum"))
        if count and mean and total is not None and not math.isclose(mean * count, total, rel_tol=1e-6, abs_tol=1e-4):
            self.sampled.add(name)


@dataclass(slots=True)
class Metric:
    """Totals of the relay's points with one metric name, over all dimensions."""

    sum: float = 0.0
    count: float = 0.0
    most: float = 0.0
    """The largest sum of a window."""
    last: float = 0.0
    """Value in the last window that has the metric; `lowest` and `highest` are of the same window."""
    lowest: float = 0.0
    highest: float = 0.0

    def close_window(self, window: Metric) -> None:
        """Add the values of a window."""
        self.sum += window.sum
        self.count += window.count
        self.most = max(self.most, window.sum)
        self.last, self.lowest, self.highest = window.last, window.lowest, window.highest

    def add(self, values: Mapping[str, float]) -> None:
        """Add a point to the values of a window: all its statistics, or the one value of a raw point."""
        only = values.get("value", 0.0)
        self.sum += values.get("sum", only)
        self.count += values.get("count", 0.0)
        self.last += values.get("last", only)
        self.lowest += values.get("min", only)
        self.highest += values.get("max", only)


def fold_window(metrics: dict[str, Metric], points: Iterable[Mapping[str, Any]]) -> None:
    """Add the points of a window, as they are sent, to the totals of their metrics."""
    window: dict[str, Metric] = {}
    for point in points:
        window.setdefault(point["metric"], Metric()).add(point["values"])
    for name, metric in window.items():
        metrics.setdefault(name, Metric()).close_window(metric)
