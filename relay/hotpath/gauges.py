"""Gauges outlive windows: the value on which the next delta stands, and for how long one repeats while it is idle.

Bounded by `limits.series`: every base holds a slot of the open table. Those whose time is over are forgotten when room
is needed, so that a gauge that comes back early still has its base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.hotpath.cell import Cell
    from relay.hotpath.table import Table
    from relay.model import Series


class Gauges:
    """State: each gauge's value and the id of the window that last saw a sample; behind open cells until these fold."""

    def __init__(self) -> None:
        self.bases: dict[Series, tuple[float, int]] = {}

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Gauges {len(self.bases)} bases>"

    def base(self, series: Series, cell: Cell) -> float:
        """Return what a delta stands on, given the cell of a window; 0 for a gauge that nobody knows."""
        return cell.last if cell.samples else self.bases.get(series, (0.0, 0))[0]

    def keep(self, series: Series, value: float, window: int) -> None:
        """Note a value, and the id of the window that has seen it."""
        self.bases[series] = (value, window)

    def keep_late(self, series: Series, value: float, window: int) -> None:
        """Note a value that got its name late: the next window may have seen another one already."""
        self.keep(series, value, max(window, self.bases.get(series, (0.0, window))[1]))

    def note(self, table: Table) -> None:
        """Bring the bases up to the latest values of the open window."""
        for series, cell in table.gauge_cells.items():
            if cell.pending or cell.samples:
                self.bases[series] = (cell.latest(), table.start)

    def idle(self, table: Table, ttl: float) -> list[tuple[Series, float]]:
        """Return the gauges that repeat as a window closes that has not seen them."""
        return [
            (series, value)
            for series, (value, window) in self.bases.items()
            if series not in table.gauge_cells and _repeats(window, table.start, ttl)
        ]

    def free(self, window: int, ttl: float) -> None:
        """Forget those whose time is over as a window closes."""
        for series, (_, seen) in list(self.bases.items()):
            if seen < window and not _repeats(seen, window, ttl):
                del self.bases[series]


def _repeats(seen: int, window: int, ttl: float) -> bool:
    return window - seen <= ttl and ttl > 0
