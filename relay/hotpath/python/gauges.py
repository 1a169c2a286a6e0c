"""Gauges outlive windows: the value on which the next delta stands, and for how long one repeats while it is idle.

Bounded by `limits.series`: every base holds a slot of the open table. Those whose time is over are forgotten when room
is needed, so that a gauge that comes back early still has its base.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from relay.hotpath.python.cell import Cell
    from relay.hotpath.python.table import Table
    from relay.model import Series


class Base(NamedTuple):
    """What a gauge's next delta stands on."""

    value: float
    window: int
    """Id of the one that last saw a sample."""
    at: float
    """Time of the value: its own, or when it was received."""


_UNKNOWN = Base(0.0, 0, -math.inf)


class Gauges:
    """State: the base of each gauge; behind open cells until these fold."""

    def __init__(self) -> None:
        self.bases: dict[Series, Base] = {}

    def __repr__(self) -> str:
        """Report the size."""
        return f"<Gauges {len(self.bases)} bases>"

    def base(self, series: Series, cell: Cell) -> float:
        """Return what a delta stands on, given the cell of a window; 0 for a gauge that nobody knows."""
        return cell.last if cell.samples else self.bases.get(series, _UNKNOWN).value

    def known_at(self, series: Series, cell: Cell | None) -> float:
        """Return the time of the newest value, given the cell of a window; -inf for a gauge that has none."""
        if cell is not None and not cell.is_empty():
            return cell.latest_at()
        return self.bases.get(series, _UNKNOWN).at

    def keep(self, series: Series, cell: Cell, window: int) -> None:
        """Note the latest value, and the id of the window that has seen it."""
        self.bases[series] = Base(cell.latest(), window, cell.latest_at())

    def keep_late(self, series: Series, cell: Cell, window: int) -> None:
        """Note a value that got its name late: the next window may have seen another one already."""
        self.keep(series, cell, max(window, self.bases.get(series, _UNKNOWN).window))

    def note(self, table: Table) -> None:
        """Bring the bases up to the latest values of the open window."""
        for series, cell in table.gauge_cells.items():
            if not cell.is_empty():
                self.keep(series, cell, table.start)

    def idle(self, table: Table, ttl: float) -> list[tuple[Series, float]]:
        """Return the gauges that repeat as a window closes that has not seen them."""
        return [
            (series, base.value)
            for series, base in self.bases.items()
            if table.has_no_sample(series) and _repeats(base.window, table.start, ttl)
        ]

    def free(self, window: int, ttl: float) -> None:
        """Forget those whose time is over as a window closes."""
        for series, base in list(self.bases.items()):
            if base.window < window and not _repeats(base.window, window, ttl):
                del self.bases[series]


def _repeats(seen: int, window: int, ttl: float) -> bool:
    return window - seen <= ttl and ttl > 0
