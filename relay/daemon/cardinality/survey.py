"""A walk over the open window: tags, examples, samples and values by metric.

The walk yields to the event loop after each part of about 250 series, a millisecond. One walk runs at a time; others
wait for its result. A result is kept for 1 to 10 s, so that walks take at most 5 % of a core. Bounded: the first
100,000 series of the window; of a metric, the values of at most 16 tags.

A window that has just begun has few series. Until it has half of those of the walk before, the tags of that walk stay.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.clock import paced
from relay.model import Metric

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from relay.clock import Clock
    from relay.hotpath.contract import HotPath
    from relay.model import Row, Series

SERIES_MOST: Final = 100_000
PART: Final = 250
"""Series of a step: about a millisecond."""
OVERFLOW: Final = ("overflow", "true")
"""The dimension that marks an overflow series."""
_EXAMPLES: Final = 3
_TAGS_MOST: Final = 16
_SHARE: Final = 0.05
"""Most share of a core that walks may take."""
_KEPT_LEAST: Final = 1.0
_KEPT_MOST: Final = 10.0
"""Seconds for which a result is kept."""
_QUANTILE: Final = 0.95
_RATE_LEAST: Final = 0.9
"""Least seconds of a rate."""


class TagSurvey(NamedTuple):
    """The distinct values of a tag of one metric."""

    key: str
    values: int
    examples: Sequence[str]
    """The first values."""


@dataclass(slots=True, kw_only=True)
class MetricSurvey:
    """State: what a walk found of a metric."""

    series: int = 0
    samples: int = 0
    last: float = 0.0
    """The last value of its newest series."""
    highest_p95: float | None = None
    """The 95th percentile of the series where it is highest; timers only."""
    is_derived: bool = False
    """Whether naming added the class to its name."""
    has_overflow: bool = False
    seen_at: float = 0.0
    """Wall time of the last walk that found new samples."""
    tags: Sequence[TagSurvey] = ()
    """Most values first; none for a metric of one series."""
    tags_of: int = 0
    """Series among which the tags were counted."""
    tags_at: float = 0.0
    """Monotonic time of the walk that found the tags."""
    values: dict[str, dict[str, None]] = field(default_factory=dict)
    """Tag -> its values, while the walk goes on."""

    def add(self, row: Row) -> None:
        """Add a series."""
        series, rollup = row
        self.series += 1
        self.samples += rollup.samples
        self.last, self.is_derived = rollup.last, series.derived
        if rollup.quantiles is not None and rollup.samples:
            p95 = rollup.quantiles.quantile(_QUANTILE)
            self.highest_p95 = p95 if self.highest_p95 is None else max(p95, self.highest_p95)
        if OVERFLOW in series.dimensions:
            self.has_overflow = True
            return
        for tag, value in series.dimensions:
            if tag in self.values:
                self.values[tag][value] = None
            elif len(self.values) < _TAGS_MOST:
                self.values[tag] = {value: None}

    def finish(self, survey: Survey) -> None:
        """Replace the values by their numbers and examples; a metric of one series needs none.

        With 50,000 metrics of one series each, their tags would take 50 MiB.
        """
        several = self.values.items() if self.series > 1 else ()
        found = [TagSurvey(tag, len(values), list(islice(values, _EXAMPLES))) for tag, values in several]
        self.tags, self.tags_at = sorted(found, key=lambda tag: -tag.values), survey.monotonic
        self.tags_of = self.series
        self.seen_at = survey.at
        self.values = {}


class Earlier(NamedTuple):
    """What is kept of the walk before, for rates."""

    window: int
    monotonic: float
    metrics: Mapping[Metric, MetricSurvey]


@dataclass(slots=True, kw_only=True, eq=False)
class Survey:
    """State: the result of a walk."""

    window: int
    """Id of the open window."""
    at: float
    """Wall time at which the walk began."""
    monotonic: float
    """Monotonic time of the same moment."""
    series: int = 0
    """Series that were visited."""
    metrics: dict[Metric, MetricSurvey] = field(default_factory=dict)
    cost: float = 0.0
    """Seconds of work."""
    earlier: Earlier | None = None

    def add(self, rows: Sequence[Row]) -> None:
        """Add a part."""
        self.series += len(rows)
        found = self.metrics
        for row in rows:
            series = row[0]
            metric = Metric(series.metric, series.kind, series.namespace)
            survey = found.get(metric)
            if survey is None:
                survey = found[metric] = MetricSurvey()
            survey.add(row)

    @property
    def kept(self) -> float:
        """Seconds for which this result is used."""
        return min(max(self.cost / _SHARE, _KEPT_LEAST), _KEPT_MOST)

    def rate(self, metric: Metric) -> float | None:
        """Return the samples a second of a metric since the walk before, or in this window so far.

        Returns:
            None in the first second of a window.
        """
        new, before = self.metrics.get(metric), self.earlier
        samples, seconds = new.samples if new else 0, self.at - self.window
        if before is not None and before.window == self.window:
            old = before.metrics.get(metric)
            samples, seconds = samples - (old.samples if old else 0), self.monotonic - before.monotonic
        return max(0, samples) / seconds if seconds >= _RATE_LEAST else None


async def open_series(hotpath: HotPath, clock: Clock) -> AsyncIterator[Series]:
    """Yield the first `SERIES_MOST` series of the open window; other tasks run after each part."""
    for first in range(0, SERIES_MOST, PART):
        part = hotpath.list_series(first, PART)
        for series in part:
            yield series
        if len(part) < PART:
            return
        await clock.sleep(0)


class Surveyor:
    """State: the newest result, and the lock that a walk holds.

    Args:
        hotpath: has the open window.
        open_id: returns the id of the open window.
        seconds: length of a window.
        clock: yields between parts.
    """

    def __init__(self, hotpath: HotPath, open_id: Callable[[], int], *, seconds: int, clock: Clock) -> None:
        self._hotpath, self._open_id, self._seconds, self._clock = hotpath, open_id, seconds, clock
        self._lock = asyncio.Lock()
        self._newest: Survey | None = None

    async def survey(self) -> Survey:
        """Return a result that is young enough, from a new walk if there is none."""
        async with self._lock:
            newest = self._newest
            if newest is None or self._clock.monotonic() >= newest.monotonic + newest.kept:
                newest = self._newest = await self._walk(newest)
            return newest

    async def series_of(self, metric: Metric) -> AsyncIterator[Series]:
        """Yield the series of a metric in the open window, without its overflow series; iterate to the end.

        No list is made: freeing 37,500 series at once would hold the event loop for 20 ms.
        """
        async with self._lock:
            async for series in open_series(self._hotpath, self._clock):
                is_wanted = (series.metric, series.kind, series.namespace) == metric
                if is_wanted and OVERFLOW not in series.dimensions:
                    yield series

    async def rows_of(self, names: Collection[str], most: int) -> list[Row]:
        """Return up to `most` rows of the open window of metrics with one of these names."""
        found: list[Row] = []
        async with self._lock:
            async for rows in self._parts():
                found += [row for row in rows if row[0].metric in names]
                if len(found) >= most:
                    break
        return found[:most]

    async def _parts(self) -> AsyncIterator[list[Row]]:
        visited = 0
        for rows in self._hotpath.snapshot():
            yield rows
            visited += len(rows)
            if visited >= SERIES_MOST:
                return
            await self._clock.sleep(0)

    async def _walk(self, before: Survey | None) -> Survey:
        """Walk over the open window; once more if it ends meanwhile."""
        survey = await self._walk_once(before)
        return survey if survey.window == self._open_id() else await self._walk_once(before)

    async def _walk_once(self, before: Survey | None) -> Survey:
        clock = self._clock
        survey = Survey(window=self._open_id(), at=clock.wall(), monotonic=clock.monotonic())
        parts = self._hotpath.snapshot()
        began = survey.monotonic
        while survey.series < SERIES_MOST and (rows := next(parts, None)) is not None:
            survey.add(rows)
            survey.cost += clock.monotonic() - began
            await clock.sleep(0)
            began = clock.monotonic()
        async for one in paced(clock, survey.metrics.values()):
            one.finish(survey)
        if before is not None:
            survey.earlier = Earlier(before.window, before.monotonic, before.metrics)
            await self._carry(before, survey)
        return survey

    async def _carry(self, before: Survey, survey: Survey) -> None:
        """Keep of the walk before: when a metric had new samples, and the tags that a new window does not have yet."""
        oldest = survey.monotonic - 2 * self._seconds
        async for metric, old in paced(self._clock, before.metrics.items()):
            new = survey.metrics.get(metric)
            if new is not None and new.samples == old.samples and survey.window == before.window:
                new.seen_at = old.seen_at
            if old.tags_at < oldest or (new is not None and 2 * new.series >= old.tags_of):
                continue
            if new is None:
                new = survey.metrics[metric] = MetricSurvey(seen_at=old.seen_at)
            new.tags, new.tags_of, new.tags_at, new.is_derived = old.tags, old.tags_of, old.tags_at, old.is_derived
