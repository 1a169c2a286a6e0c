"""One row of a closed window becomes points: each series one point, a timer one more per percentile.

Owned here: which StatsD value becomes which field (the table of jdcloud.md), clamping, and the last line of defence
against two values for one key (I8): a derived name (`.p95`, a class suffix, raw `.sum`) yields to a received one.
Invariant (I4): every point satisfies putMetricData, given a legal series. Pure; points are encoded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from relay import limits
from relay.jdcloud.codec import encode
from relay.model import ClosedWindow, Kind, Point, Rollup, Row, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BODY_HEAD: Final = b'{"metricDataList":['
BODY_TAIL: Final = b"]}"

AGGREGATE: Final = 2
RAW: Final = 1

Values = dict[str, float | int]


class Named(NamedTuple):
    """Values under a suffix of the series' metric; "" is the metric itself."""

    suffix: str
    values: Values


def legal_number(value: float) -> float | int:
    """Clamp to what the service takes; whole numbers are sent as integers."""
    value = min(max(value, -limits.VALUE_MAX), limits.VALUE_MAX)
    return int(value) if value == int(value) else value


def single(value: float) -> Values:
    """Every statistic of one sample."""
    number = legal_number(value)
    return {"sum": number, "count": 1, "avg": number, "min": number, "max": number, "last": number}


def statistics(rollup: Rollup) -> Values:
    """Every statistic of what was sampled."""
    average = rollup.sum / rollup.count if rollup.count else 0.0
    return {
        "sum": legal_number(rollup.sum),
        "count": legal_number(rollup.count),
        "avg": legal_number(min(max(average, rollup.min), rollup.max)),
        "min": legal_number(rollup.min),
        "max": legal_number(rollup.max),
        "last": legal_number(rollup.last),
    }


def percentile_suffix(percentile: float) -> str:
    """Return `.p95`, `.p99_9`."""
    return f".p{percentile:g}".replace(".", "_").replace("_p", ".p", 1)


class PointEncoder:
    """State: none; settings only."""

    def __init__(self, *, namespace: str, output: str, counter_values: str, percentiles: Sequence[float]) -> None:
        self._namespace = namespace
        self._type = RAW if output == "raw" else AGGREGATE
        self._counter: Callable[[Rollup, int], Values] = _COUNTER_VALUES[counter_values]
        self._percentiles = [(percentile_suffix(percentile), percentile / 100) for percentile in percentiles]

    def __repr__(self) -> str:
        """Report the settings."""
        return f"<PointEncoder {self._namespace} type {self._type}>"

    def encode_window(self, window: ClosedWindow) -> Encoding:
        """Return the points of a window, made while they are iterated."""
        return Encoding(self, window)

    def values(self, row: Row, seconds: int) -> Iterator[Named]:
        """Yield what is sent of one row."""
        named = self._raw(row, seconds) if self._type == RAW else self._aggregate(row, seconds)
        yield from named
        quantiles = row[1].quantiles
        if quantiles is not None:
            for suffix, q in self._percentiles:
                value = quantiles.quantile(q)
                yield Named(suffix, {"value": legal_number(value)} if self._type == RAW else single(value))

    def _aggregate(self, row: Row, seconds: int) -> Iterator[Named]:
        series, rollup = row
        if series.kind is Kind.COUNTER:
            yield Named("", self._counter(rollup, seconds))
        else:
            yield Named("", statistics(rollup))

    def _raw(self, row: Row, seconds: int) -> Iterator[Named]:
        series, rollup = row
        match series.kind:
            case Kind.COUNTER:
                yield Named("", {"value": self._counter(rollup, seconds)["sum"]})
            case Kind.TIMER:
                for statistic, value in statistics(rollup).items():
                    if statistic != "last":
                        yield Named(f".{statistic}", {"value": value})
            case Kind.GAUGE | Kind.SET:
                yield Named("", {"value": legal_number(rollup.last)})

    def encode_point(self, series: Series, named: Named, timestamp: int) -> Point:
        """Encode one point of the API."""
        return Point(
            encode(
                {
                    "namespace": self._namespace,
                    "metric": limits.fit(series.metric, named.suffix),
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


class Encoding:
    """State: the counts of what yielded to another name; final when iteration, which is possible once, has ended."""

    def __init__(self, encoder: PointEncoder, window: ClosedWindow) -> None:
        self._encoder = encoder
        self._window = window
        self.samples_dropped = 0
        """Samples of rows whose name belongs to another row."""
        self.points_collided = 0
        """Points of rows that are sent, whose derived name belongs to another row."""
        self._received: set[int] = set()
        """Hashes: a million names of a window are kept nowhere else as Python objects, and should not be here."""

    def __repr__(self) -> str:
        """Report the counts."""
        return f"<Encoding {self._window.start}, {self.samples_dropped} samples dropped>"

    def prepare(self) -> Iterator[None]:
        """Learn which names were received; a step a series, so that it can be paced. To be run before iterating."""
        for series in self._window.series:
            if not series.derived:
                self._received.add(hash(series[:2]))
            yield

    def __iter__(self) -> Iterator[Point]:
        """Encode row by row."""
        received, taken = self._received, set[int]()
        for row in self._window.rows:
            series, rollup = row
            key = hash(series[:2])
            if key in taken or (series.derived and key in received):
                self.samples_dropped += rollup.samples
                continue
            taken.add(key)
            for named in self._encoder.values(row, self._window.seconds):
                if named.suffix:
                    derived = hash((limits.fit(series.metric, named.suffix), series.dimensions))
                    if derived in received or derived in taken:
                        self.points_collided += 1
                        continue
                    taken.add(derived)
                yield self._encoder.encode_point(series, named, self._window.start)
