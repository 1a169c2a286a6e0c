"""A context with a new ledger, for the parts under test."""

from __future__ import annotations

from relay.clock import SystemClock
from relay.context import Context
from relay.ledger import Ledger, WindowRecord
from relay.loss_log import LossLog

CLOCK = SystemClock()


def make_context(clock=CLOCK, *, ledger=None, interval=10.0) -> Context:
    """`interval`: seconds between two lines of one loss; 0 logs each."""
    return Context(clock, ledger or Ledger(), LossLog(clock, interval=interval))


def window_record(start: int, points: int = 10) -> WindowRecord:
    """Return a window that received a hundred lines."""
    return WindowRecord(
        start=start,
        seconds=60,
        stored_at=start + 60.5,
        late=0.5,
        lines=100,
        rejected={},
        kernel_drops=0,
        samples=100,
        samples_dropped={},
        series=10,
        points=points,
        requests=1,
    )
