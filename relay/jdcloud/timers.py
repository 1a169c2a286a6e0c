"""The metrics derived from a timer: percentiles (`Percentiles`), or those of statsd (`TimerMetrics`). Pure.

With `percentile_style = "statsd"` names and roundings are those of lib/process_metrics.js of statsd/statsd. statsd
counts samples, not their weights: percentile p covers k = round(|p| / 100 x n) of n samples, halves rounded up. These
are the k least samples, or the k greatest for a negative p. samples.py provides the samples.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.jdcloud.samples import deviation, distribution, median, rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relay.jdcloud.samples import Distribution
    from relay.model import Rollup

Bins = tuple[str, "Sequence[float]"]
"""A text, and the upper limits of the bins for timers with this text in their name."""

_ON_REQUEST: Final = frozenset({"sum_squares", "sum_squares_percent", "count_ps"})
"""Metrics sent only if `timer_metrics` names them: they are rarely charted, and every point counts for the quota."""
_OF_ALL: Final = ("std", "median", "sum_squares", "count_ps")
_OF_PERCENTILE: Final = ("count", "mean", "bound", "sum", "sum_squares")
_MOST: Final = 2**53
"""A number of samples of which every percentile covers at least one."""
_ANY_PERCENTILE: Final = re.compile(r"_(top)?\d+(_\d+)?$")


class Percentiles:
    """State: none; the plain style: `.p95` is the least value that at least 95 % of the weight do not exceed."""

    def __init__(self, percentiles: Sequence[float]) -> None:
        self._percentiles = [(percentile_suffix(percentile), percentile / 100) for percentile in percentiles]

    def count(self, _metric: str, _samples: int = 0) -> int:
        """Return the number of derived metrics."""
        return len(self._percentiles)

    def derive(self, _metric: str, rollup: Rollup, _seconds: int) -> Iterator[tuple[str, float]]:
        """Yield the suffix and value of each derived metric."""
        if rollup.quantiles is not None:
            for suffix, q in self._percentiles:
                yield suffix, rollup.quantiles.quantile(q)


def percentile_suffix(percentile: float) -> str:
    """Return the suffix of a percentile: `.p95`, `.p99_9`."""
    return f".p{percentile:g}".replace(".", "_").replace("_p", ".p", 1)


class _Percentile(NamedTuple):
    value: float
    suffixes: Sequence[str]
    """Suffixes in the order of _OF_PERCENTILE; "": not wanted."""


class TimerMetrics:
    """State: none; the wanted metrics of statsd, and their names."""

    def __init__(
        self, *, percentiles: Sequence[float], wanted: Sequence[str] = (), histogram: Sequence[Bins] = ()
    ) -> None:
        """Prepare the names.

        Args:
            percentiles: -100 to 100, not 0; a negative one covers the greatest samples.
            wanted: statsd's calculatedTimerMetrics; empty: all but those of _ON_REQUEST.
            histogram: bins by part of a name; the first entry that matches applies; limits ascend.
        """
        self._wanted = frozenset(wanted)
        self._of_all = [name for name in _OF_ALL if self._wants(name)]
        self._percentiles = [_Percentile(percentile, self._suffixes(percentile)) for percentile in percentiles]
        self._histogram = histogram if self._wants("histogram") else ()

    def _wants(self, name: str) -> bool:
        general = _ANY_PERCENTILE.sub("_percent", name)
        return general in self._wanted if self._wanted else general not in _ON_REQUEST

    def _suffixes(self, percentile: float) -> list[str]:
        names = [name.replace("bound", "upper" if percentile > 0 else "lower") for name in _OF_PERCENTILE]
        full = [f"{name}_{_in_name(percentile, minus='top')}" for name in names]
        return [f".{name}" if self._wants(name) else "" for name in full]

    def count(self, metric: str, samples: int = _MOST) -> int:
        """Return the number of derived metrics of a timer with `samples` samples; by default the maximum."""
        taken = [percentile for percentile in self._percentiles if rank(percentile.value, samples)]
        of_percentiles = sum(len(suffixes) - suffixes.count("") for _, suffixes in taken)
        return len(self._of_all) + of_percentiles + len(self._limits(metric))

    def derive(self, metric: str, rollup: Rollup, seconds: int) -> Iterator[tuple[str, float]]:
        """Yield the suffix and value of each derived metric; nothing for a timer without samples."""
        samples = distribution(rollup) if self.count(metric) else None
        if samples is None:
            return
        for name in self._of_all:
            yield f".{name}", _of_all(name, samples, rollup.count / seconds)
        for percentile in self._percentiles:
            yield from _of_percentile(percentile, samples)
        before = 0
        for limit in self._limits(metric):
            reached = samples.n if limit == math.inf else samples.below(limit)
            yield f".histogram.bin_{_in_name(limit)}", reached - before
            before = reached

    def _limits(self, metric: str) -> Sequence[float]:
        return next((bins for part, bins in self._histogram if part in metric), ())


def _of_all(name: str, samples: Distribution, per_second: float) -> float:
    match name:
        case "std":
            return deviation(samples)
        case "median":
            return median(samples)
        case "sum_squares":
            return samples.least(samples.n).squares()
        case _:
            return per_second


def _of_percentile(percentile: _Percentile, samples: Distribution) -> Iterator[tuple[str, float]]:
    k = rank(percentile.value, samples.n)
    if not k:
        return
    part = samples.least(k) if percentile.value > 0 else samples.greatest(k)
    *simple, squares = percentile.suffixes
    total = part.sum()
    for suffix, value in zip(simple, (k, total / k, part.bound, total), strict=True):
        if suffix:
            yield suffix, value
    if squares:
        yield squares, part.squares()


def _in_name(number: float, *, minus: str = "_") -> str:
    """Return a number in the form used in names: `99_5`."""
    return repr(float(number)).removesuffix(".0").replace(".", "_").replace("+", "").replace("-", minus)
