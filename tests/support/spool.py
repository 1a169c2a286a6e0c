"""A spool as a relay opens it, with the defaults of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.clock import SystemClock
from relay.delivery.spool.spool import Spool
from relay.model import Batch
from tests.support.context import make_context

if TYPE_CHECKING:
    from relay.ledger import Ledger

CLOCK = SystemClock()


async def open_spool(directory, *, ledger=None, clock=CLOCK, limit_bytes=1024**3) -> Spool:
    return await Spool.open(directory, make_context(clock, ledger=ledger, interval=0.0), limit_bytes=limit_bytes)


def batch(window: int, number: int = 0, points: int = 2, size: int = 1000) -> Batch:
    """A body of about `size` bytes that hardly compresses: what is stored is as large."""
    seed = f"{window} {number} ".encode()
    body, block = bytearray(seed), 1
    while len(body) < size:
        block = (block * 6364136223846793005 + window * 31 + number * 7 + 1442695040888963407) % 2**64
        body += block.to_bytes(8, "big")
    return Batch(window=window, points=points, body=bytes(body))


def balanced(spool: Spool, ledger: Ledger, done: int = 0) -> bool:
    """The equation of points, at this moment."""
    came = ledger.points_created + ledger.points_recovered + ledger.points_replayed
    return came == done + sum(ledger.points_dropped.values()) + spool.points + spool.leased
