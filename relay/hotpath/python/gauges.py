"""The state of gauges that outlives windows: the base of the next delta, and the value that an idle gauge repeats.

Bounded by `limits.series`: every base occupies a slot of the open table. Expired bases are removed only when room is
needed, so that a gauge that returns soon after its TTL still has its base.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from relay.hotpath.python.cell import Cell
    from relay.hotpath.python.table import Table
    from relay.model import Series


class Base(NamedTuple):
    """The value to which a gauge's next delta is added."""

    value: float
    window: int
    """Id of the window that received the last sample."""
    at: float
    """Time of the value: its timestamp, or its receive time."""


_UNKNOWN = Base(0.0, 0, -math.inf)


class Gauges:
    """State: the base of each gauge; values of the open window arrive with `update`."""

    def __init__(self) -> None:
        self.bases: dict[Series, Base] = {}

    def base(self, series: Series, cell: Cell) -> float:
        """Return the base of a delta, given the cell of a window; 0 for an unknown gauge."""
        return cell.last if cell.samples else self.bases.get(series, _UNKNOWN).value

    def known_at(self, series: Series, cell: Cell | None) -> float:
        """Return the time of the newest value, given the cell of a window; -inf for a gauge without a value."""
        if cell is not None and not cell.is_empty():
            return cell.latest_at()
        return self.bases.get(series, _UNKNOWN).at

    def record(self, series: Series, cell: Cell, window: int) -> None:
        """Record the cell's latest value, and the id of its window."""
        self.bases[series] = Base(cell.latest(), window, cell.latest_at())

    def record_late(self, series: Series, cell: Cell, window: int) -> None:
        """Record a value that got its name late; a newer window id that is already recorded stays."""
        self.record(series, cell, max(window, self.bases.get(series, _UNKNOWN).window))

    def update(self, table: Table) -> None:
        """Update the bases with the latest values of the open window."""
        for series, cell in table.gauge_cells.items():
            if not cell.is_empty():
                self.record(series, cell, table.start)

    def idle(self, table: Table, ttl: float) -> list[tuple[Series, float]]:
        """Return the gauges without a sample in the closing window that repeat their value, with the value."""
        return [
            (series, base.value)
            for series, base in self.bases.items()
            if table.has_no_sample(series) and _repeats(base.window, table.start, ttl)
        ]

    def free(self, window: int, ttl: float) -> None:
        """Delete the bases with an expired TTL when a window closes."""
        for series, base in list(self.bases.items()):
            if base.window < window and not _repeats(base.window, window, ttl):
                del self.bases[series]


def _repeats(seen: int, window: int, ttl: float) -> bool:
    return window - seen <= ttl and ttl > 0
