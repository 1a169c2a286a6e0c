"""The last hour in numbers: every second of five minutes, and every tenth second of an hour.

A row has counters as they stood, so that rates over any span are exact, and gauges of that moment. Bounded (I6): 660
rows. Not known here: how a rate or a share is shown.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.loss_log import lost_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.admin.protocols import Relay

FINE_SECONDS: Final = 300
COARSE_STEP: Final = 10
COARSE_SECONDS: Final = 3600


class Row(NamedTuple):
    """Counters and gauges at one moment; None: not known yet."""

    wall: float
    packets: int
    lines: int
    rejected: int
    kernel_drops: int
    overflow: int
    """Samples in overflow series."""
    intended: int
    """Samples dropped by a rule, or deleted on the console."""
    lost_samples: int
    """Samples dropped for another reason."""
    lost_points: int
    refused_points: int
    delivered_points: int
    series: int | None
    """Of the last closed window."""
    points: int | None
    requests_per_minute: float | None
    """Requests of the last closed window, in a minute."""
    waiting: int
    """Points in the spool or in flight."""
    lag: float
    """Seconds since the end of the oldest window that waits, or from a window's end to its last delivery."""


class History:
    """State: the rows, oldest first."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._fine: deque[Row] = deque(maxlen=FINE_SECONDS)
        self._coarse: deque[Row] = deque(maxlen=(COARSE_SECONDS - FINE_SECONDS) // COARSE_STEP)

    async def run(self) -> None:
        """Add a row every second until cancelled."""
        while True:
            self.add(read_row(self._relay))
            await self._relay.context.clock.sleep(1.0)

    def add(self, row: Row) -> None:
        """Add the newest row; of those older than five minutes every tenth stays."""
        if len(self._fine) == FINE_SECONDS:
            oldest = self._fine[0]
            if not self._coarse or oldest.wall >= self._coarse[-1].wall + COARSE_STEP - 0.5:
                self._coarse.append(oldest)
        self._fine.append(row)

    def rows(self, seconds: float = COARSE_SECONDS) -> Sequence[Row]:
        """Return the rows of the last `seconds`, oldest first."""
        rows = [*self._coarse, *self._fine]
        since = rows[-1].wall - seconds if rows else 0.0
        return [row for row in rows if row.wall >= since]


def read_row(relay: Relay) -> Row:
    """Read every counter, without an await in between (I5)."""
    tally, ledger, books = relay.hotpath.tally(), relay.context.ledger, relay.status.books()
    lost = lost_samples(books.samples_dropped)
    last = ledger.windows.last
    return Row(
        wall=relay.context.clock.wall(),
        packets=sum(listener.datagrams for listener in relay.listeners),
        lines=tally.received,
        rejected=sum(tally.rejected.values()),
        kernel_drops=sum(listener.kernel_drops for listener in relay.listeners),
        overflow=tally.samples_overflow,
        intended=sum(books.samples_dropped.values()) - lost,
        lost_samples=lost,
        lost_points=sum(books.dropped.values()),
        refused_points=books.refused,
        delivered_points=books.delivered,
        series=last.series if last else None,
        points=last.points if last else None,
        requests_per_minute=last.requests * 60 / last.seconds if last else None,
        waiting=books.spooled + books.in_flight,
        lag=_lag(relay),
    )


def _lag(relay: Relay) -> float:
    """Return the seconds since the end of the oldest window that waits, or until the last delivery of a batch."""
    oldest, seconds = relay.spool.oldest_window, relay.config.window.seconds
    age = relay.context.ledger.delivery_lag if oldest is None else relay.context.clock.wall() - oldest
    return max(0.0, age - seconds)
