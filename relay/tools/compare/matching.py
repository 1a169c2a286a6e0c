"""Matches the totals of both sides by metric, with the bound of the edges and a verdict. Pure.

The old daemon's names state the class; the relay's points do not. Where two classes share a name, the relay appends the
class to one of them, so both forms of a name are looked up.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.model import Kind
from relay.names import fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.tools.compare.namespaces import OldKey
    from relay.tools.compare.totals import Gauge, Metric, OldTotals, Sum

ROUNDING: Final = 1e-9
"""Relative difference above that of two sums of the same values in another order."""
DIGITS: Final = 1e-5
"""Absolute difference allowed for rounding: gostatsd writes six decimal places in each flush."""
_DERIVED: Final = re.compile(
    r"(?P<timer>.+)\.(?:p\d+(?:_\d+)?|std|median|count_ps|avg|min|max|histogram\.bin_\w+"
    r"|(?:count|mean|sum|sum_squares|upper|lower)(?:_(?:top)?\d+(?:_\d+)?)?)"
)
"""Names that the relay derives from timers, in any style."""

RESERVED: Final = "of the relay itself"
DERIVED: Final = "made of timers by the relay"
IDLE: Final = "without a value on either side"

_ONLY_OLD: Final = "the relay received no line of it, or rejected it: relay_rejected_lines_total"
_ONLY_RELAY: Final = "the old daemon received no line of it, or rejected it: statsd.bad_lines_seen"
_STILL: Final = "it did not change: the old daemon repeats a gauge for ever, and the relay may never have received it"
_SAMPLED: Final = "it has a sample rate: the old daemon adds the values as sent, the relay divides them by the rate"
_SETS: Final = "a flush and a window hold different members: the largest number of one is shown"
_TIMER: Final = "it has several values: sent as |h or |d, it is a timer for the relay and a counter for statsd"
_GAUGE: Final = "each daemon added the deltas to the value that it knew"


class Verdict(StrEnum):
    """The verdict of a row, in the order in which rows are shown."""

    DIFFERS = "differs"
    INCOMPARABLE = "not comparable"
    WITHIN = "within the edges"
    EQUAL = "equal"


class ComparedMetric(NamedTuple):
    """One total of a metric on both sides."""

    metric: str
    kind: str
    """Empty if only the relay has it."""
    what: str
    """sum, count, last, most."""
    old: float | None
    relay: float | None
    low: float
    """Lower bound of the difference that the edges explain: 0 or negative."""
    high: float
    """Upper bound of the difference that the edges explain: 0 or positive."""
    verdict: Verdict
    why: str = ""
    """The likely reason of a difference, or why the two totals are not comparable; else empty."""

    @property
    def difference(self) -> float:
        """The relay's total less the old daemon's."""
        return (self.relay or 0.0) - (self.old or 0.0)


class Matching:
    """State: the names of the relay compared so far, and the number of names left out, by reason."""

    def __init__(
        self, old: OldTotals, relay: Mapping[str, Metric], *, reserved: str = "", counter_scale: float = 1.0
    ) -> None:
        """Store both sides.

        Args:
            old: totals of the old daemon, by the relay's names.
            relay: totals of the relay, by name.
            reserved: prefix of the relay's own metrics.
            counter_scale: factor from the sent value of a counter to its total.
        """
        self._old = old
        self._relay = relay
        self._reserved = reserved
        self._counter_scale = counter_scale
        self._names = {key.name for part in (old.sums, old.gauges, old.sets) for key in part}
        self._matched: set[str] = set()
        self._timers: set[str] = set()
        self.left_out: Counter[str] = Counter()

    def rows(self) -> list[ComparedMetric]:
        """Return every total, differences first; call it once."""
        rows = [*self._sums(), *self._gauges(), *self._sets()]
        rows += self._only_relay()
        order = list(Verdict)
        return sorted(rows, key=lambda row: (order.index(row.verdict), row.why, row.metric, row.kind, row.what))

    def _find(self, key: OldKey) -> Metric | None:
        """Return the relay's total of a value, under the name with its class or the bare name."""
        named = fit(key.name, f".{key.kind}")
        name = named if named in self._relay and named not in self._names else key.name
        if key.kind is Kind.TIMER:
            self._timers.add(name)
            raw = fit(name, f".{key.statistic}")
            name = raw if name not in self._relay else name
        self._matched.add(name)
        return self._relay.get(name)

    def _sums(self) -> Iterator[ComparedMetric]:
        for key, one in self._old.sums.items():
            metric = self._find(key)
            if metric is None and one.is_nothing():
                self.left_out[IDLE] += 1
            else:
                yield self._judge_sum(key, one, metric)

    def _judge_sum(self, key: OldKey, one: Sum, metric: Metric | None) -> ComparedMetric:
        what = key.statistic or "sum"
        relay = None
        if metric is not None:
            relay = metric.count if what == "count" and metric.count else metric.sum
            relay *= self._counter_scale if key.kind is Kind.COUNTER else 1.0
        verdict = judge(one.total, relay, one.low, one.high)
        why = ""
        if what == "sum" and key.kind is Kind.TIMER and key.name in self._old.sampled:
            verdict, why = Verdict.INCOMPARABLE, _SAMPLED
        elif verdict is Verdict.DIFFERS and metric is None:
            why = _ONLY_OLD
        elif verdict is Verdict.DIFFERS and key.kind is Kind.COUNTER and metric and metric.lowest != metric.highest:
            why = _TIMER
        return ComparedMetric(key.name, key.kind, what, one.total, relay, one.low, one.high, verdict, why)

    def _gauges(self) -> Iterator[ComparedMetric]:
        for key, gauge in self._old.gauges.items():
            metric = self._find(key)
            if metric is not None:
                yield _judge_gauge(key, gauge, metric)
                continue
            verdict, why = (Verdict.DIFFERS, _ONLY_OLD) if gauge.has_moved else (Verdict.INCOMPARABLE, _STILL)
            yield ComparedMetric(key.name, key.kind, "last", gauge.last, None, 0.0, 0.0, verdict, why)

    def _sets(self) -> Iterator[ComparedMetric]:
        for key, most in self._old.sets.items():
            metric = self._find(key)
            if metric is None and not most:
                self.left_out[IDLE] += 1
                continue
            relay = metric.most if metric else None
            yield ComparedMetric(key.name, key.kind, "most", most, relay, 0.0, 0.0, Verdict.INCOMPARABLE, _SETS)

    def _only_relay(self) -> Iterator[ComparedMetric]:
        for name, metric in self._relay.items():
            if name in self._matched:
                continue
            derived = _DERIVED.fullmatch(name)
            if self._reserved and name.startswith(f"{self._reserved}."):
                self.left_out[RESERVED] += 1
            elif derived and derived["timer"] in self._timers:
                self.left_out[DERIVED] += 1
            elif not (metric.most or metric.sum or metric.last):
                self.left_out[IDLE] += 1
            else:
                yield ComparedMetric(name, "", "sum", None, metric.sum, 0.0, 0.0, Verdict.DIFFERS, _ONLY_RELAY)


def judge(old: float, relay: float | None, low: float, high: float) -> Verdict:
    """Return the verdict of a difference, given the bounds that the edges explain."""
    difference = (relay or 0.0) - old
    room = DIGITS + ROUNDING * max(abs(old), abs(relay or 0.0))
    if math.isclose(difference, 0.0, abs_tol=room):
        return Verdict.EQUAL
    return Verdict.WITHIN if low - room <= difference <= high + room else Verdict.DIFFERS


def _judge_gauge(key: OldKey, gauge: Gauge, metric: Metric) -> ComparedMetric:
    """Compare the last values of a gauge.

    The old daemon's last flush precedes the end of the last window, so it may hold any value between the lowest and the
    highest of that window.
    """
    low = min(0.0, gauge.following - gauge.last, metric.last - metric.highest)
    high = max(0.0, gauge.following - gauge.last, metric.last - metric.lowest)
    verdict = judge(gauge.last, metric.last, low, high)
    why = _GAUGE if verdict is Verdict.DIFFERS else ""
    return ComparedMetric(key.name, key.kind, "last", gauge.last, metric.last, low, high, verdict, why)
