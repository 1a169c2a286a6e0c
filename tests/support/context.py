"""A context with a new ledger, for the parts under test."""

from __future__ import annotations

from relay.clock import SystemClock
from relay.context import Context
from relay.ledger import Ledger
from relay.loss_log import LossLog

CLOCK = SystemClock()


def make_context(clock=CLOCK, *, ledger=None, interval=10.0) -> Context:
    """`interval`: seconds between two lines of one loss; 0 logs each."""
    return Context(clock, ledger or Ledger(), LossLog(clock, interval=interval))
