"""Encodes the rows of a closed window as points: one for each series, and for a timer also its derived metrics.

Owned here: the mapping of StatsD values to fields of the API, clamping, and the last check against two values for one
key (I8): a derived name (`.p95`, a class suffix, raw `.sum`) gives way to the same name as received.
Invariant (I4): every point satisfies putMetricData, given a legal series. Pure; every point is encoded once.

Does not know: requests and their size (the batcher), naming, the spool.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from relay import limits
from relay.jdcloud.codec import encode
from relay.jdcloud.timers import Percentiles
from relay.ledger import MetricCounts
from relay.model import ClosedWindow, Kind, Point, Rollup, Row, Series
from relay.names import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from relay.jdcloud.timers import TimerMetrics

BODY_HEAD: Final = b'{"metricDataList":['
BODY_TAIL: Final = b"]}"

AGGREGATE: Final = 2
RAW: Final = 1
_RAW_TIMER: Final = 5
"""Points of a timer in raw output: avg, min, max, sum, count."""
QUOTA_SHARE: Final = 0.9
"""Share of the allowed requests; a window that needs more is sent without percentiles."""

Values = dict[str, float | int]


class IdleSeries(Protocol):
    """Source of the idle series, which are sent as 0."""

    def record(self, series: Series) -> None:
        """Record an active series."""

    def finish_window(self) -> Iterator[Series]:
        """Yield the idle series, after all active ones were recorded."""
        ...


class NamedValues(NamedTuple):
    """The values of one point, and the suffix of its metric; "": the metric itself."""

    suffix: str
    values: Values


class Clamped(int):
    """The bound sent in place of a larger number; the type tells it from an equal number when it is counted."""

    __slots__ = ()


_MOST: Final = Clamped(limits.VALUE_MAX)
_LEAST: Final = Clamped(-limits.VALUE_MAX)


def legal_number(value: float) -> float | int:
    """Return a number within the service's range; whole numbers become integers."""
    if value > limits.VALUE_MAX:
        return _MOST
    if value < -limits.VALUE_MAX:
        return _LEAST
    return int(value) if value == int(value) else value


def count_clamped(values: Values) -> int:
    """Return the number of clamped statistics of a point."""
    found = values.values()
    if limits.VALUE_MAX not in found and -limits.VALUE_MAX not in found:
        return 0
    return sum(isinstance(number, Clamped) for number in found)


def single(value: float) -> Values:
    """Return every statistic of a single value."""
    number = legal_number(value)
    return {"sum": number, "count": 1, "avg": number, "min": number, "max": number, "last": number}


def statistics(rollup: Rollup) -> Values:
    """Return every statistic of a rollup."""
    average = rollup.sum / rollup.count if rollup.count else 0.0
    return {
        "sum": legal_number(rollup.sum),
        "count": legal_number(rollup.count),
        "avg": legal_number(min(max(average, rollup.min), rollup.max)),
        "min": legal_number(rollup.min),
        "max": legal_number(rollup.max),
        "last": legal_number(rollup.last),
    }


class PointEncoder:
    """State: none; settings only."""

    def __init__(  # noqa: PLR0913 - the settings of points; daemon/build.py is the only caller
        self,
        *,
        namespace: str,
        output: str,
        counter_values: str,
        percentiles: Sequence[float],
        timer_metrics: TimerMetrics | None = None,
        idle: IdleSeries | None = None,
        requests_per_minute: float = math.inf,
    ) -> None:
        self._namespace = namespace
        self._per_minute = requests_per_minute
        self._type = RAW if output == "raw" else AGGREGATE
        self._counter: Callable[[Rollup, int], Values] = _COUNTER_VALUES[counter_values]
        self.idle = idle
        self._timers = timer_metrics or Percentiles(percentiles)

    def encode_window(self, window: ClosedWindow) -> Encoding:
        """Return the points of a window; they are encoded during iteration."""
        return Encoding(self, window)

    def points_of(self, series: Series) -> int:
        """Return the maximum number of points of a series."""
        if series.kind is not Kind.TIMER:
            return 1
        return (_RAW_TIMER if self._type == RAW else 1) + self._timers.count(series.metric)

    def requests_allowed(self, seconds: int) -> float:
        """Return the number of requests allowed for a window of `seconds` seconds."""
        return self._per_minute * seconds / 60

    def values(self, row: Row, seconds: int) -> Iterator[NamedValues]:
        """Yield the values of a row that are always sent."""
        yield from self._raw(row, seconds) if self._type == RAW else self._aggregate(row, seconds)

    def derived(self, row: Row, seconds: int) -> Iterator[NamedValues]:
        """Yield the derived metrics of a timer's row; nothing for other rows."""
        series, rollup = row
        if rollup.quantiles is not None:
            for suffix, value in self._timers.derive(series.metric, rollup, seconds):
                yield NamedValues(suffix, self._single(value))

    def count_derived(self, row: Row) -> int:
        """Return the number of values that `derived` yields."""
        series, rollup = row
        return self._timers.count(series.metric, rollup.samples) if rollup.quantiles is not None else 0

    def _aggregate(self, row: Row, seconds: int) -> Iterator[NamedValues]:
        series, rollup = row
        if series.kind is Kind.COUNTER:
            yield NamedValues("", self._counter(rollup, seconds))
        else:
            yield NamedValues("", statistics(rollup))

    def _raw(self, row: Row, seconds: int) -> Iterator[NamedValues]:
        series, rollup = row
        match series.kind:
            case Kind.COUNTER:
                yield NamedValues("", {"value": self._counter(rollup, seconds)["sum"]})
            case Kind.TIMER:
                for statistic, value in statistics(rollup).items():
                    if statistic == "count" or (statistic != "last" and rollup.samples):
                        yield NamedValues(f".{statistic}", {"value": value})
            case Kind.GAUGE | Kind.SET:
                yield NamedValues("", {"value": legal_number(rollup.last)})

    def encode_single(self, series: Series, value: float, timestamp: int) -> Point:
        """Encode a point of one value."""
        return self.encode_point(series, NamedValues("", self._single(value)), timestamp)

    def _single(self, value: float) -> Values:
        return {"value": legal_number(value)} if self._type == RAW else single(value)

    def key_of(self, series: Series, suffix: str = "") -> int:
        """Return a hash of the service's key: namespace, metric and dimensions, without the class."""
        metric = fit(series.metric, suffix) if suffix else series.metric
        return hash((series.namespace or self._namespace, metric, series.dimensions))

    def encode_point(self, series: Series, named: NamedValues, timestamp: int) -> Point:
        """Encode one point of the API."""
        return Point(
            encode(
                {
                    "namespace": series.namespace or self._namespace,
                    "metric": fit(series.metric, named.suffix),
                    "dimensions": dict(series.dimensions),
                    "timestamp": timestamp,
                    "type": self._type,
                    "values": named.values,
                }
            )
        )


def _total(rollup: Rollup, _: int) -> Values:
    return single(rollup.sum)


def _rate(rollup: Rollup, seconds: int) -> Values:
    return single(rollup.sum / seconds)


def _samples(rollup: Rollup, _: int) -> Values:
    return statistics(rollup)


_COUNTER_VALUES: Final = {"total": _total, "rate": _rate, "samples": _samples}


def zero(series: Series) -> Rollup:
    """Return the rollup of an idle series: a count of nothing, or the size of an empty set."""
    count = 1.0 if series.kind is Kind.SET else 0.0
    return Rollup(samples=0, count=count, sum=0.0, min=0.0, max=0.0, last=0.0)


class Encoding:
    """State: the idle series, and counts of rows and points left out.

    Run `prepare` first, then iterate, once; the counts are final after the iteration.
    """

    def __init__(self, encoder: PointEncoder, window: ClosedWindow) -> None:
        self._encoder = encoder
        self._window = window
        self.samples_dropped = 0
        """Samples of rows left out because another row has the same key."""
        self.points_collided = 0
        """Derived points left out because another row has the same key."""
        self.points_shed = 0
        """Derived points not sent because the window exceeds its share of the quota."""
        self.requests_needed = 0
        """Requests for all points, percentiles included; known after `prepare`."""
        self.values_clamped = 0
        """Number of clamped statistics."""
        self.clamped_metric = ""
        """Metric of the last clamped statistic."""
        self.metrics = MetricCounts()
        """Series and samples received, by metric; idle series are not counted."""
        self.known: AbstractSet[int] | None = None
        """`keys` of the window before; None: unknown."""
        self.keys: set[int] = set()
        """Hashes of the keys of the points."""
        self.series_new = 0
        """Series that the window before had not; 0 if that is unknown."""
        self._zeros: list[Series] = []
        self.requests_allowed = encoder.requests_allowed(window.seconds)
        self._received: set[int] = set()
        """Hashes of the keys received: a million names as Python objects would take too much memory."""

    def prepare(self) -> Iterator[None]:
        """Record the names received, and count the points; one step per series, for pacing. Run it before iterating."""
        points, idle, count = 0, self._encoder.idle, self.metrics.add_series
        for series in self._window.series:
            count(series)
            points += self._encoder.points_of(series)
            if not series.derived:
                self._received.add(self._encoder.key_of(series))
            if idle:
                idle.record(series)
            yield
        for series in idle.finish_window() if idle else ():
            self._zeros.append(series)
            points += 1
            yield
        self.requests_needed = -(-points // limits.POINTS_PER_REQUEST)

    @property
    def over_quota(self) -> bool:
        """Whether the window needs more than 90 % of the allowed requests."""
        return self.requests_needed > self.requests_allowed * QUOTA_SHARE

    def __iter__(self) -> Iterator[Point]:
        """Encode row by row; the zeros of idle series come last, so that a received series with the same key wins."""
        received, taken, sheds, known = self._received, self.keys, self.over_quota, self.known
        for row in chain(self._window.rows, ((series, zero(series)) for series in self._zeros)):
            series, rollup = row
            key = self._encoder.key_of(series)
            if key in taken or (series.derived and key in received):
                self.samples_dropped += rollup.samples
                continue
            taken.add(key)
            self.metrics.add_samples(series, rollup.samples)
            self.series_new += known is not None and key not in known
            named_values = self._encoder.values(row, self._window.seconds)
            if not sheds:
                named_values = chain(named_values, self._encoder.derived(row, self._window.seconds))
            else:
                self.points_shed += self._encoder.count_derived(row)
            for named in named_values:
                if named.suffix:
                    derived = self._encoder.key_of(series, named.suffix)
                    if derived in received or derived in taken:
                        self.points_collided += 1
                        continue
                    taken.add(derived)
                clamped = count_clamped(named.values)
                if clamped:
                    self.values_clamped += clamped
                    self.clamped_metric = series.metric
                yield self._encoder.encode_point(series, named, self._window.start)
