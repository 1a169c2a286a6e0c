"""The series of one window, and the admission of new ones.

Owned here: the limits on series and the accounting of memory (I6). 10 % of the slots are reserved for overflow series,
so that a metric with too many series keeps its total. A metric that finds no slot even there folds into the catch-all
series of its class. An idle gauge occupies a slot too, because its base for deltas must survive the window.

Does not know: identities, naming, timestamps.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from relay import limits
from relay.hotpath.python.cell import CELL_BYTES, Cell
from relay.model import Kind, Rollup, Row, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relay.model import Resolution, Series


# --- rows of a closed window, made lazily: folding and copying all at once would stall the loop ----------------------


class Rows(Collection[Row]):
    """State: the cells of a closed table, and the idle gauges that repeat; no more samples are added."""

    def __init__(self, table: Table, idle: Mapping[Series, float], *, now: float) -> None:
        self._table = table  # keeps the table alive: its memory counts until the rows are gone
        self._cells = table.cells
        self._idle = idle
        self._now = now

    def series(self) -> Collection[Series]:
        """Return the series of all rows, without making the rows."""
        return [*self._cells, *self._idle]

    def __len__(self) -> int:
        """Return the number of rows; an empty overflow cell counts, too."""
        return len(self._cells) + len(self._idle)

    def __contains__(self, row: object) -> bool:
        """Compare row by row; required by Collection, not meant for large windows."""
        return any(row == own for own in self)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows; a cell without samples has none."""
        for series, cell in self._cells.items():
            cell.fold(self._now)
            if cell.samples:
                yield series, cell.rollup()
        for series, value in self._idle.items():
            yield series, Rollup(samples=0, count=1.0, sum=value, min=value, max=value, last=value)


_LONG: Final = 64
"""Pending values from which `fold_long` folds a cell."""
_CALLS_PER_MEASUREMENT: Final = 4
"""Calls of `fold_long` between two measurements of memory: 400,000 samples."""


class Table:
    """State: series -> cell, and the number of series per metric.

    Args:
        start: id of the window.
        gauges: gauges that have a base.
        bytes_of_others: returns the bytes held by tables of earlier windows, which share the memory.
        known: series of the previous window; they are admitted even when memory is at its bound.
    """

    def __init__(  # noqa: PLR0913 - the limits of a table; store.py is the only caller
        self,
        start: int,
        gauges: Collection[Series],
        *,
        bytes_of_others: Callable[[], int],
        known: Collection[Series] = (),
        series_limit: int,
        series_per_metric: int,
        memory: int,
        exact_samples: int,
    ) -> None:
        self.start = start
        self.cells: dict[Series, Cell] = {}
        self.gauge_cells: dict[Series, Cell] = {}
        """The gauges among `cells`."""
        self._gauges = gauges
        self.folds = False
        """The table has only catch-all series."""
        self._idle = len(gauges)
        """Number of gauges without a cell in this window."""
        self._per_metric: dict[str, int] = {}
        self.set_limits(
            series_limit=series_limit,
            series_per_metric=series_per_metric,
            memory=memory,
            exact_samples=exact_samples,
        )
        self._bytes_of_others = bytes_of_others
        self._known = frozenset(known)
        self._fold_calls = self._measured = 0
        self.full = False
        """Memory is at its bound: no new series, no exact sketches and sets."""

    def __len__(self) -> int:
        """Return the number of series, idle gauges included."""
        return len(self.cells) + self._idle

    def set_limits(self, *, series_limit: int, series_per_metric: int, memory: int, exact_samples: int) -> None:
        """Change the limits; they apply to new series."""
        self._limit = series_limit
        self._admitted = max(1, series_limit - int(series_limit * limits.OVERFLOW_SHARE))
        self._metric_limit = series_per_metric
        self._memory = memory
        self._exact_samples = exact_samples

    def place(self, answer: Resolution, catch_all: Callable[[Kind], Series]) -> tuple[Series, Cell, bool]:
        """Return the series that receives the samples of `answer`, its cell, and whether it is an overflow series."""
        series = answer.series
        cell = self.cells.get(series)
        if cell is not None:
            return series, cell, False
        if not self.folds:
            if series in self._gauges or self._has_room(series):
                return series, self.make(series), False
            if answer.overflow in self.cells or (len(self) < self._limit and not self._is_full()):
                return answer.overflow, self.make(answer.overflow), True
        fallback = catch_all(series.kind)
        return fallback, self.make(fallback), True

    def _has_room(self, series: Series) -> bool:
        if len(self) >= self._admitted or (self._is_full() and series not in self._known):
            return False
        return self._per_metric.get(series.metric, 0) < self._metric_limit

    def _is_full(self) -> bool:
        return self.full or self.bytes >= self._left()

    def _left(self) -> int:
        """Return the bytes this table may use: all that the earlier tables leave, and at least half."""
        return max(self._memory - self._bytes_of_others(), self._memory // 2)

    @property
    def bytes(self) -> int:
        """Estimate of the memory held: the last measurement, at least the size of the empty cells."""
        return max(self._measured, len(self.cells) * CELL_BYTES)

    def make(self, series: Series) -> Cell:
        """Return the cell of a series, created if there is none."""
        cell = self.cells.get(series)
        if cell is None:
            self._idle -= series in self._gauges
            self._per_metric[series.metric] = self._per_metric.get(series.metric, 0) + 1
            cell = self.cells[series] = Cell(series.kind, self._exact_samples)
            if series.kind is Kind.GAUGE:
                self.gauge_cells[series] = cell
        return cell

    def has_no_sample(self, series: Series) -> bool:
        """Return whether a series has no cell, or an empty one."""
        cell = self.cells.get(series)
        return cell is None or cell.is_empty()

    def remove(self, series: Series) -> Cell:
        """Remove a series; return its cell."""
        self._per_metric[series.metric] -= 1
        self.gauge_cells.pop(series, None)
        return self.cells.pop(series)

    def count_idle(self, series: Series) -> None:
        """Count a gauge that gets a base without a sample in this window."""
        self._idle += series not in self.cells

    def recount_idle(self) -> None:
        """Recount the idle gauges, after gauges were deleted."""
        self._idle = sum(series not in self.cells for series in self._gauges)

    def fold_long(self, now: float) -> None:
        """Fold the cells with many pending values; folding all cells would cost as much as the lines themselves."""
        for cell in self.cells.values():
            if len(cell.pending) >= _LONG:
                cell.fold(now)
        self._fold_calls += 1
        if self._fold_calls % _CALLS_PER_MEASUREMENT == 0:
            self.measure()

    def fold(self, now: float) -> None:
        """Fold every cell."""
        for cell in self.cells.values():
            cell.fold(now)

    def measure(self) -> None:
        """Measure memory; at the bound admit no new series, and switch sketches and sets to approximate forms."""
        self._measured = sum(cell.size() for cell in self.cells.values())
        self.full = self._measured >= self._left()
        if self.full:
            for cell in self.cells.values():
                cell.shrink()
