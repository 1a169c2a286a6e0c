"""The rows of a closed window, made lazily: folding and copying all of them at once would stall the loop."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from relay.model import Rollup, Row, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relay.hotpath.table import Table


class Rows(Collection[Row]):
    """State: the cells of a closed table, and the gauges that repeat; no sample is added any more."""

    def __init__(self, table: Table, idle: Mapping[Series, float], *, now: float) -> None:
        self._table = table  # alive as long as its rows: its memory is not free before
        self._cells = table.cells
        self._idle = idle
        self._now = now

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Rows {len(self._cells)} series, {len(self._idle)} idle gauges>"

    def series(self) -> Collection[Series]:
        """Return whose rows these are, without making them."""
        return [*self._cells, *self._idle]

    def __len__(self) -> int:
        """Rows there will be."""
        return len(self._cells) + len(self._idle)

    def __contains__(self, row: object) -> bool:
        """Compare row by row: nobody asks this of a large window."""
        return any(row == own for own in self)

    def __iter__(self) -> Iterator[Row]:
        """Make the rows; an overflow cell that took nothing is none."""
        for series, cell in self._cells.items():
            cell.fold(self._now)
            if cell.samples:
                yield series, cell.rollup()
        for series, value in self._idle.items():
            yield series, Rollup(samples=0, count=1.0, sum=value, min=value, max=value, last=value)
