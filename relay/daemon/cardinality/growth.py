"""The number of series by metric in the newest windows, how fast they grow, and when they reach a limit.

The counts come with each close. Bounded: four windows, METRICS_MAX metrics each. A window that had begun before the
relay started has fewer series than a whole one, so it is no base of a growth.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.model import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.config.schema import LimitsConfig
    from relay.ledger import MetricCounts, MetricKey

_WINDOWS: Final = 4
"""Windows kept: three intervals between them."""
_AHEAD: Final = 3600.0
"""Seconds: a limit that would be reached later is not told."""
_LISTED: Final = 20
"""Limits that are told: at most."""


class CountedWindow(NamedTuple):
    """The counts of a closed window."""

    start: int
    is_whole: bool
    """Whether the relay received during the whole window."""
    counts: MetricCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproachingLimit:
    """A limit on series that is reached within an hour if the growth goes on (RLY311)."""

    metric: Metric | None
    """None: the limit of all series."""
    series: int
    limit: int
    per_minute: float
    seconds: float
    """Until the limit is reached; 0: it was reached."""


class MetricHistory:
    """State: the counts of the newest windows, and the growth between the first and the last whole one."""

    def __init__(self) -> None:
        self._windows: deque[CountedWindow] = deque(maxlen=_WINDOWS)
        self._growth: dict[MetricKey, float] = {}
        """Series a minute; only metrics whose number changed."""
        self._latest: dict[MetricKey, float] = {}
        """The growth between the last two whole windows."""
        self._is_known = False

    @property
    def last(self) -> CountedWindow | None:
        """The window that was stored last."""
        return self._windows[-1] if self._windows else None

    def windows(self) -> list[CountedWindow]:
        """Return the newest windows, oldest first."""
        return [*self._windows]

    def add(self, window: CountedWindow) -> None:
        """Add a window that is stored now. For 10,000 metrics it takes some milliseconds."""
        self._windows.append(window)
        whole = self._whole()
        self._is_known = len(whole) > 1
        if self._is_known:
            self._growth, self._latest = _growth(whole[0], whole[-1]), _growth(whole[-2], whole[-1])

    def _whole(self) -> list[CountedWindow]:
        return [window for window in self._windows if window.is_whole]

    def growth(self, metric: MetricKey) -> float | None:
        """Return by how many series a minute a metric grew over the newest windows; None if that is not known yet."""
        return self._growth.get(metric, 0.0) if self._is_known else None

    def total_growth(self) -> float | None:
        """Return by how many series a minute all metrics grew together; None if that is not known yet."""
        whole = self._whole()
        return _total_growth(whole[0], whole[-1]) if len(whole) > 1 else None

    def fastest(self) -> tuple[Metric, float] | None:
        """Return the metric with the most new series a minute, and how many; None if none grows."""
        key = max(self._growth, key=lambda one: self._growth[one], default=None)
        return None if key is None or self._growth[key] <= 0 else (Metric(*key), self._growth[key])

    def approaching(self, configured: LimitsConfig) -> list[ApproachingLimit]:
        """Return the limits that are reached within an hour at the present growth, the next one first.

        The growth is the smaller of that over the newest windows and that of the last one: a number that rose once and
        stays reaches no limit. A tenth of `series` is reserved for overflow series, so others are refused before the
        number is reached.
        """
        found = sorted(self._approaching(configured), key=lambda one: one.seconds)
        return found[:_LISTED]

    def _approaching(self, configured: LimitsConfig) -> Iterator[ApproachingLimit]:
        if self.last is None or not self._is_known:
            return
        counts, whole = self.last.counts, self._whole()
        growth = min(_total_growth(whole[0], whole[-1]), _total_growth(whole[-2], whole[-1]))
        admitted = configured.series - int(configured.series * limits.OVERFLOW_SHARE)
        seconds = _until(admitted, counts.total, growth)
        if seconds <= _AHEAD:
            yield ApproachingLimit(
                metric=None, series=counts.total, limit=configured.series, per_minute=growth, seconds=seconds
            )
        limit = configured.series_per_metric
        for key, over_all in self._growth.items():
            series, growth = counts.series.get(key, 0), min(over_all, self._latest.get(key, 0.0))
            if growth > 0 and (seconds := _until(limit, series, growth)) <= _AHEAD:
                yield ApproachingLimit(
                    metric=Metric(*key), series=series, limit=limit, per_minute=growth, seconds=seconds
                )


def _growth(first: CountedWindow, last: CountedWindow) -> dict[MetricKey, float]:
    """Return the growth of the metrics whose number changed; a metric that may not have been counted is left out."""
    before, now, minutes = first.counts.series, last.counts.series, (last.start - first.start) / 60
    if first.counts.others:
        now = {key: count for key, count in now.items() if key in before}
    return {key: (count - old) / minutes for key, count in now.items() if count != (old := before.get(key, 0))}


def _total_growth(first: CountedWindow, last: CountedWindow) -> float:
    """Return by how many series a minute all metrics grew together."""
    return (last.counts.total - first.counts.total) * 60 / (last.start - first.start)


def _until(limit: int, series: int, per_minute: float) -> float:
    """Return the seconds until a limit is reached; infinity if the number does not grow."""
    return max(0, limit - series) * 60 / per_minute if per_minute > 0 else float("inf")
